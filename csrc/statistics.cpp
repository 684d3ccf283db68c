// Order statistics without sorting: one pass that looks closer only at blocks with something large.

#include "statistics.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <mutex>
#include <vector>

namespace qat {
namespace {

using at::Tensor;

// Without its sign bit a float orders like a signed integer of its width, NaN above infinity, which is
// also how torch.kthvalue orders NaN. So floats are read as integers here: one kernel per width serves
// every dtype, and no compiler flag about floating-point arithmetic can change it.
template <typename Key>
inline Key magnitude(Key bits) {
  return static_cast<Key>(bits & std::numeric_limits<Key>::max());
}

constexpr int64_t kGlance = 32;  // elements of which only the largest is looked at first

template <typename Key>
void keep_largest(std::vector<Key>& keys, int64_t k) {
  if (static_cast<int64_t>(keys.size()) > k) {
    std::nth_element(keys.begin(), keys.begin() + (k - 1), keys.end(), std::greater<Key>());
    keys.resize(k);
  }
}

template <typename Key>
Key largest_of_block(const Key* data) {
  Key largest = 0;
  for (int64_t i = 0; i < kGlance; ++i) {
    largest = std::max(largest, magnitude(data[i]));
  }
  return largest;
}

// Appends those of `count` keys that are above `bound`. All are written: a branch would be mispredicted.
template <typename Key>
void append_above(Key bound, const Key* data, int64_t count, std::vector<Key>& keys) {
  const size_t before = keys.size();
  keys.resize(before + count);
  Key* end = keys.data() + before;
  for (int64_t i = 0; i < count; ++i) {
    const Key key = magnitude(data[i]);
    *end = key;
    end += key > bound;
  }
  keys.resize(end - keys.data());
}

// The k largest keys of a range, all of a shorter one; in no order.
template <typename Key>
std::vector<Key> largest_of_range(const Key* data, int64_t count, int64_t k) {
  // Twice those wanted: narrowing them down is O(k) and comes after k new ones, so that no order of
  // the data, ascending included, costs more than O(1) per element.
  const int64_t room = std::min(2 * k, count) + kGlance;
  std::vector<Key> keys;
  keys.reserve(room + kGlance);
  Key bound = -1;
  for (int64_t i = 0; i < count; i += kGlance) {
    const int64_t length = std::min(kGlance, count - i);
    if (length == kGlance && largest_of_block(data + i) <= bound) {
      continue;
    }
    append_above(bound, data + i, length, keys);
    if (static_cast<int64_t>(keys.size()) > room) {
      keep_largest(keys, k);
      bound = *std::min_element(keys.begin(), keys.end());
    }
  }
  keep_largest(keys, k);
  return keys;
}

template <typename Key>
Key kth_largest(const Key* data, int64_t count, int64_t k) {
  std::vector<Key> largest;
  std::mutex merging;
  // Ranges much longer than k, so that most of each is passed over.
  at::parallel_for(0, count, std::max<int64_t>(32768, 16 * k), [&](int64_t begin, int64_t end) {
    const auto of_range = largest_of_range(data + begin, end - begin, k);
    const std::lock_guard<std::mutex> lock(merging);
    largest.insert(largest.end(), of_range.begin(), of_range.end());
  });
  keep_largest(largest, k);
  return *std::min_element(largest.begin(), largest.end());
}

template <typename Key>
void write_kth_largest(const Tensor& dense, int64_t k, const Tensor& result) {
  const auto* data = static_cast<const Key*>(dense.const_data_ptr());
  *static_cast<Key*>(result.mutable_data_ptr()) = kth_largest(data, dense.numel(), k);
}

void check_dtype(const Tensor& x) {
  const auto dtype = x.scalar_type();
  TORCH_CHECK_TYPE(
      dtype == at::kHalf || dtype == at::kBFloat16 || dtype == at::kFloat || dtype == at::kDouble,
      "abs_kth_largest: x is of ", dtype,
      "; it needs a float16, bfloat16, float32 or float64 tensor.");
}

template <typename Int>
void check_rank(int64_t k, const Int& count) {
  TORCH_CHECK_VALUE(
      k >= 1 && count >= k,
      "abs_kth_largest: k is ", k, " for ", count,
      " elements; it must be from 1 to their number.");
}

}  // namespace

Tensor abs_kth_largest_cpu(const Tensor& x, int64_t k) {
  check_dtype(x);
  check_rank(k, x.numel());
  // The order of the elements does not matter, so any layout without gaps is read as it lies.
  const Tensor dense = x.is_non_overlapping_and_dense() ? x : x.contiguous();
  Tensor result = x.new_empty({});
  if (x.element_size() == 8) {
    write_kth_largest<int64_t>(dense, k, result);
  } else if (x.element_size() == 4) {
    write_kth_largest<int32_t>(dense, k, result);
  } else {
    write_kth_largest<int16_t>(dense, k, result);
  }
  return result;
}

Tensor abs_kth_largest_composite(const Tensor& x, int64_t k) {
  check_dtype(x);
  check_rank(k, x.numel());
  const Tensor magnitudes = x.abs().reshape(-1);
  const int64_t from_below = x.numel() - k + 1;
  const bool is_large = k <= from_below;
  const auto [ordered, _] = magnitudes.topk(std::min(k, from_below), -1, is_large);
  return ordered.select(0, -1).clone();
}

Tensor abs_kth_largest_meta(const Tensor& x, int64_t k) {
  check_dtype(x);
  check_rank(k, x.sym_numel());
  return x.new_empty({});
}

}  // namespace qat
