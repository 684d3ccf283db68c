// The largest magnitude of each row, and its gradient.

#include "maximum.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "../layout.h"

namespace qat {
namespace {

template <typename T>
T largest(const T* x, int64_t count) {
  T most = 0;
  int is_nan = 0;
#pragma omp simd reduction(max : most) reduction(| : is_nan)
  for (int64_t i = 0; i < count; ++i) {
    const T size = std::abs(x[i]);
    most = size > most ? size : most;
    is_nan |= size != size;
  }
  return is_nan ? std::numeric_limits<T>::quiet_NaN() : most;
}

template <typename T>
void add_to_first(T* to_x, const T* x, int64_t count, T gradient) {
  const T most = largest(x, count);
  const T* at = std::find_if(x, x + count, [most](T v) { return std::abs(v) == most; });
  if (at != x + count && *at != 0) {  // NaN is not found; |x| has no gradient at 0
    to_x[at - x] += *at > 0 ? gradient : -gradient;
  }
}

template <typename T>
void add_to_all(T* to_x, const T* x, int64_t count, T gradient) {
  const T most = largest(x, count);
  const auto is_largest = [most](T v) { return std::abs(v) == most; };
  const T share = gradient / static_cast<T>(std::count_if(x, x + count, is_largest));
  for (int64_t i = 0; i < count; ++i) {
    if (is_largest(x[i]) && x[i] != 0) {
      to_x[i] += x[i] > 0 ? share : -share;
    }
  }
}

}  // namespace

bool has_maximum_kernel(const at::Tensor& x) {
  return x.is_cpu() && x.is_contiguous() && x.numel() > 0 &&
      (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble);
}

at::Tensor maximum(const at::Tensor& x, int64_t rows) {
  const int64_t count = std::max<int64_t>(rows, 1), length = x.numel() / count;
  const at::DimVector shape(rows == 0 ? 0 : 1, rows);
  at::Tensor result = uninitialized(shape, x.scalar_type());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "qat_maximum", [&] {
    const scalar_t* from = x.const_data_ptr<scalar_t>();
    scalar_t* to = result.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, count, std::max<int64_t>(1, kGrain / length), [&](int64_t a, int64_t b) {
      for (int64_t row = a; row < b; ++row) {
        to[row] = largest(from + row * length, length);
      }
    });
  });
  return result;
}

void add_maximum_gradient(
    at::Tensor& to_x, const at::Tensor& x, int64_t rows, const at::Tensor& to_maximum) {
  const int64_t count = std::max<int64_t>(rows, 1), length = x.numel() / count;
  const at::Tensor gradients = to_maximum.contiguous();
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "qat_maximum_backward", [&] {
    const scalar_t* from = x.const_data_ptr<scalar_t>();
    const scalar_t* g = gradients.const_data_ptr<scalar_t>();
    scalar_t* to = to_x.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, count, std::max<int64_t>(1, kGrain / length), [&](int64_t a, int64_t b) {
      for (int64_t row = a; row < b; ++row) {
        const int64_t at = row * length;
        if (rows == 0) {
          add_to_all(to + at, from + at, length, g[row]);
        } else {
          add_to_first(to + at, from + at, length, g[row]);
        }
      }
    });
  });
}

}  // namespace qat
