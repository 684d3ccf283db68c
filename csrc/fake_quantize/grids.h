// The arithmetic of each quantizer on one element; core/qat/ops/fake_quantize.py has the formulas.
//
// T is the type that is computed in; the tensor may be of a narrower one (one_pass.h).
// Every operation is rounded to T, as it is where the quantizer is composed of tensor ops, so that
// both give the same bits in float16 and bfloat16 as well. Comparisons are written so that the value
// of NaN is NaN.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cmath>
#include <type_traits>

namespace qat {

template <typename T>
inline T round_half_even(T x) {
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
    return std::nearbyint(x);
  } else {
    return static_cast<T>(std::nearbyint(static_cast<float>(x)));
  }
}

template <typename T>
inline T clamp(T x, T lo, T hi) {
  x = x < lo ? lo : x;
  return x > hi ? hi : x;
}

// `gradient` also gives the share of one element in the sums; see quantizers.h.
template <typename T, bool kAllSums = false>
struct IntGrid {
  using Number = T;
  static constexpr int kSums = kAllSums ? 3 : 1;
  T scale, zero_point, qmin, qmax;
  bool clipped;

  T value(T v) const {
    const T q = clamp<T>(round_half_even<T>(v / scale) + zero_point, qmin, qmax);
    return (q - zero_point) * scale;
  }

  template <typename S>
  T gradient(T g, T v, S& to_scale, S& to_low, S& to_high) const {
    const T steps = v / scale;
    const T free = round_half_even<T>(steps) + zero_point;
    const T q = clamp<T>(free, qmin, qmax);
    const bool stops = clipped & (q != free);  // NaN stops as well
    const S on_grid = static_cast<S>(q - zero_point);
    to_scale = stops ? on_grid : on_grid - static_cast<S>(steps);
    if constexpr (kAllSums) {
      to_low = q > free ? static_cast<S>(g) : S(0);
      to_high = q < free ? static_cast<S>(g) : S(0);
    }
    return stops ? T(0) : g;
  }
};

template <typename T>
struct BinaryGrid {
  using Number = T;
  static constexpr int kSums = 1;
  T scale;
  bool clipped;

  T value(T v) const {
    const T positive = v >= T(0) ? scale : v;  // NaN stays
    return v < T(0) ? -scale : positive;
  }

  template <typename S>
  T gradient(T g, T v, S& to_scale, S&, S&) const {
    const bool outside = clipped & !((v >= -scale) & (v <= scale));  // NaN as well
    const S reach = outside ? S(1) + static_cast<S>(scale) : S(1);
    const S positive = v >= T(0) ? reach : static_cast<S>(v);
    to_scale = v < T(0) ? -reach : positive;
    return outside ? T(0) : static_cast<T>(g * scale);
  }
};

template <typename T>
struct TernaryGrid {
  using Number = T;
  static constexpr int kSums = 1;
  T scale, edge;  // edge = threshold * scale

  T value(T v) const {
    const T far = v > edge ? scale : v;  // NaN stays
    const T sided = v < -edge ? -scale : far;
    return (v <= edge) & (v >= -edge) ? T(0) : sided;
  }

  template <typename S>
  T gradient(T g, T v, S& to_scale, S&, S&) const {
    const bool zero = (v <= edge) & (v >= -edge);
    const S far = v > edge ? S(1) : static_cast<S>(v);
    const S sided = v < -edge ? S(-1) : far;
    to_scale = zero ? S(0) : sided;
    return zero ? T(0) : static_cast<T>(g * scale);
  }
};

}  // namespace qat
