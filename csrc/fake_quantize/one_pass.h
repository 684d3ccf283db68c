// The loops of loops.h as templates over a Grid, the arithmetic of one quantizer (grids.h).
//
// A Grids<T> is made from a Pass and gives for a channel its Grid, T being the Number of that: the type
// of the tensor, or float32 for one of a half type. A Grid has
//   T value(T v)                                       the quantized v
//   T gradient(T g, T v, Sum& a, Sum& b, Sum& c)       the gradient of v for that of the value, g;
//                                                      g * a, b, c: its shares in kSums sums
// Sums are taken over blocks of fixed length, in Sum within a block and in float64 over blocks.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "loops.h"

namespace qat {

template <typename T>
using Sum = std::conditional_t<std::is_same_v<T, double>, double, float>;

// An activation function that is a clamp. A bound that is not there is NaN, which compares to nothing.
template <typename T, Bounds kBounds>
struct Clamp {
  static constexpr bool kHasLow = kBounds != Bounds::kNone;
  static constexpr bool kHasHigh = kBounds == Bounds::kAny;
  T lo, hi;

  explicit Clamp(const Pass& pass) : lo(static_cast<T>(pass.lo)), hi(static_cast<T>(pass.hi)) {}

  T operator()(T x) const {
    if constexpr (kHasLow) {
      x = x < lo ? lo : x;
    }
    if constexpr (kHasHigh) {
      x = x > hi ? hi : x;
    }
    return x;
  }

  T gradient(T g, T x) const {
    if constexpr (kHasLow) {
      g = x <= lo ? T(0) : g;
    }
    if constexpr (kHasHigh) {
      g = x >= hi ? T(0) : g;
    }
    return g;
  }
};

// Without it gcc leaves a call in the loops of some types, which are then not vectorised.
#define QAT_INLINE inline __attribute__((always_inline))

template <typename T, typename Grid>
QAT_INLINE T quantized(T v, const Grid& grid) {
  return static_cast<T>(grid.value(static_cast<typename Grid::Number>(v)));
}

// The gradient of v in front of the activation function, for that of its quantized value.
template <typename T, typename Act, typename Grid>
QAT_INLINE T differentiated(
    T g, T v, const Act& act, const Grid& grid, Sum<T>& a, Sum<T>& b, Sum<T>& c) {
  using Number = typename Grid::Number;
  const Number number = static_cast<Number>(act(v));
  return act.gradient(static_cast<T>(grid.gradient(static_cast<Number>(g), number, a, b, c)), v);
}

// The loops proper. Everything comes by value: the compiler vectorises only what it knows that no
// store can change.

template <typename T, typename Act, typename Grid>
void quantize(const T* x, T* y, int64_t count, Act act, Grid grid) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    y[i] = quantized<T>(act(x[i]), grid);
  }
}

template <typename T, typename Act, typename Grid>
void differentiate(
    const T* g, const T* x, T* to_x, int64_t count, Act act, Grid grid, double* sums) {
  Sum<T> s0 = 0, s1 = 0, s2 = 0;
#pragma omp simd reduction(+ : s0, s1, s2)
  for (int64_t i = 0; i < count; ++i) {
    Sum<T> a = 0, b = 0, c = 0;
    const T v = x[i], incoming = g[i];  // to_x may be g
    to_x[i] = differentiated<T>(incoming, v, act, grid, a, b, c);
    s0 = std::fma(static_cast<Sum<T>>(incoming), a, s0);
    s1 += b, s2 += c;
  }
  sums[0] += s0;
  if constexpr (Grid::kSums == 3) {
    sums[1] += s1;
    sums[2] += s2;
  }
}

template <typename T, typename Act, typename Grids>
void quantize_channels(const T* x, T* y, int64_t channels, Act act, Grids grids) {
#pragma omp simd
  for (int64_t c = 0; c < channels; ++c) {
    y[c] = quantized<T>(act(x[c]), grids(c));
  }
}

template <typename T, typename Act, typename Grids>
void differentiate_channels(
    const T* g, const T* x, T* to_x, int64_t channels, Act act, Grids grids, double* sums) {
#pragma omp simd
  for (int64_t i = 0; i < channels; ++i) {
    Sum<T> a = 0, b = 0, c = 0;
    const T v = x[i], incoming = g[i];  // to_x may be g
    to_x[i] = differentiated<T>(incoming, v, act, grids(i), a, b, c);
    sums[i] += static_cast<Sum<T>>(incoming) * a;
    if constexpr (Grids::Grid::kSums == 3) {
      sums[channels + i] += b;
      sums[2 * channels + i] += c;
    }
  }
}

// The functions that a Loops points to.
template <typename T, typename Grids, Bounds kBounds>
struct OnePass {
  using Act = Clamp<T, kBounds>;

  static const T* x(const Pass& pass) {
    return static_cast<const T*>(pass.x);
  }

  static const T* grad(const Pass& pass) {
    return static_cast<const T*>(pass.grad);
  }

  static T* result(const Pass& pass) {
    return static_cast<T*>(pass.result);
  }

  static void row(const Pass& pass, int64_t at, int64_t count, int64_t channel) {
    quantize(x(pass) + at, result(pass) + at, count, Act(pass), Grids(pass)(channel));
  }

  static void row_backward(
      const Pass& pass, int64_t at, int64_t count, int64_t channel, double* sums) {
    const Act act(pass);
    const auto grid = Grids(pass)(channel);
    for (const int64_t last = at + count; at < last; at += kBlock) {
      differentiate(
          grad(pass) + at, x(pass) + at, result(pass) + at, std::min(kBlock, last - at), act, grid,
          sums);
    }
  }

  static void columns(const Pass& pass, int64_t begin, int64_t end) {
    const Act act(pass);
    const Grids grids(pass);
    const int64_t channels = pass.channels;
    const T* const from = x(pass);
    T* const to = result(pass);
    for (int64_t at = begin * channels; at < end * channels; at += channels) {
      quantize_channels(from + at, to + at, channels, act, grids);
    }
  }

  static void columns_backward(const Pass& pass, int64_t begin, int64_t end, double* sums) {
    const Act act(pass);
    const Grids grids(pass);
    const int64_t channels = pass.channels;
    const T *const g = grad(pass), *const from = x(pass);
    T* const to = result(pass);
    for (int64_t at = begin * channels; at < end * channels; at += channels) {
      differentiate_channels(g + at, from + at, to + at, channels, act, grids, sums);
    }
  }

  static constexpr Loops kLoops{row, row_backward, columns, columns_backward};
};

template <typename T, typename Grids>
Loops loops_of(Bounds bounds) {
  // A comparison too many is felt, but only in the types that people train in.
  if constexpr (std::is_same_v<typename Grids::Number, float>) {
    if (bounds == Bounds::kNone) {
      return OnePass<T, Grids, Bounds::kNone>::kLoops;
    }
    if (bounds == Bounds::kLow) {
      return OnePass<T, Grids, Bounds::kLow>::kLoops;
    }
  }
  return OnePass<T, Grids, Bounds::kAny>::kLoops;
}

template <template <typename> typename Grids>
Loops find_loops(at::ScalarType x, at::ScalarType number, Bounds bounds) {
  const bool is_wide = x != number;  // a half type, computed in float32
  switch (x) {
    case at::kDouble:
      return loops_of<double, Grids<double>>(bounds);
    case at::kHalf:
      return is_wide ? loops_of<at::Half, Grids<float>>(bounds)
                     : loops_of<at::Half, Grids<at::Half>>(bounds);
    case at::kBFloat16:
      return is_wide ? loops_of<at::BFloat16, Grids<float>>(bounds)
                     : loops_of<at::BFloat16, Grids<at::BFloat16>>(bounds);
    default:
      return loops_of<float, Grids<float>>(bounds);
  }
}

}  // namespace qat
