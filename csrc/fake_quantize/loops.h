// Loops of the fused quantizers behind pointers, one set per type of tensor.
//
// They know nothing of torch's tensors, whose headers take longer to compile than the loops do.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>

namespace qat {

constexpr int64_t kBlock = 1024;        // elements whose sums are taken in float
constexpr int64_t kTask = 16 * kBlock;  // elements of one unit of parallel work

// One pass over a tensor, without the types.
struct Pass {
  const void* x = nullptr;          // elements of one type: what is quantized,
  const void* grad = nullptr;       // the incoming gradient,
  void* result = nullptr;           // the values, or the gradient of x; may be `grad`
  const void* scale = nullptr;      // entries per channel, of the type that is computed in
  const void* zero_point = nullptr;
  const void* edge = nullptr;       // of ternary ones: threshold * scale
  double qmin = 0, qmax = 0;        // ends of the integers
  bool clipped = true;
  double lo = 0, hi = 0;            // bounds of an activation function in front; NaN: none
  int64_t channels = 1;
};

// `sums` holds one total per sum, and of the columns one per channel: [kSums] and [kSums, channels].
struct Loops {
  // Elements [at, at + count), all of one channel.
  void (*row)(const Pass&, int64_t at, int64_t count, int64_t channel);
  void (*row_backward)(const Pass&, int64_t at, int64_t count, int64_t channel, double* sums);
  // Rows [begin, end) of `channels` elements, each of a channel of its own.
  void (*columns)(const Pass&, int64_t begin, int64_t end);
  void (*columns_backward)(const Pass&, int64_t begin, int64_t end, double* sums);
};

// The bounds that are there: none, that of ReLU, or any.
enum class Bounds { kNone, kLow, kAny };

// For elements of type x, computed in `number`.
using FindLoops = Loops(at::ScalarType x, at::ScalarType number, Bounds bounds);
FindLoops int_loops, int_loops_with_all_sums, binary_loops, ternary_loops;

// Whether there are loops for these types: one floating-point type, or a half type computed in float32.
inline bool has_loops(at::ScalarType x, at::ScalarType number) {
  if (x == at::kHalf || x == at::kBFloat16) {
    return number == x || number == at::kFloat;
  }
  return (x == at::kFloat || x == at::kDouble) && number == x;
}

}  // namespace qat
