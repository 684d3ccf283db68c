// One pass over a tensor whose elements are quantized by a Grid, forward and backward.
//
// A Grid<T> is made of the parameters of one channel, T being its Number: the type of the tensor, or
// float32 for one of a half type. It has
//   T value(T v)                                       the quantized v
//   T gradient(T g, T v, Sum& a, Sum& b, Sum& c)       the gradient of v for that of the value, g;
//                                                      g * a, b, c: its shares in kSums sums
// Sums are taken over blocks of fixed length, in Sum within a block and in float64 over blocks, in a
// fixed order: the result does not depend on the number of threads.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "layout.h"

namespace qat {

constexpr int64_t kBlock = 1024;        // elements summed in Sum
constexpr int64_t kTask = 16 * kBlock;  // elements of one unit of parallel work
constexpr int64_t kGrain = 32768;       // elements below which a second thread does not pay

template <typename T>
using Sum = std::conditional_t<std::is_same_v<T, double>, double, float>;

// An activation function that is a clamp. A bound that is not there is infinite.
enum class Bounds { kNone, kLow, kHigh, kBoth };

template <typename T, Bounds kBounds>
struct Activation {
  static constexpr bool kHasLow = kBounds == Bounds::kLow || kBounds == Bounds::kBoth;
  static constexpr bool kHasHigh = kBounds == Bounds::kHigh || kBounds == Bounds::kBoth;
  T lo, hi;

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

inline int64_t tasks_along(int64_t length) {
  return (length + kTask - 1) / kTask;
}

inline int64_t tasks_per_thread(int64_t length) {
  return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, std::min(length, kTask)));
}

template <typename T, typename Grid>
T quantized(T v, const Grid& grid) {
  return static_cast<T>(grid.value(static_cast<typename Grid::Number>(v)));
}

// The gradient of v in front of the activation function, for that of its quantized value.
template <typename T, typename Act, typename Grid>
T differentiated(T g, T v, const Act& act, const Grid& grid, Sum<T>& a, Sum<T>& b, Sum<T>& c) {
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

template <typename T, typename Act, typename GridAt>
void quantize_channels(const T* x, T* y, int64_t channels, Act act, GridAt grid_at) {
#pragma omp simd
  for (int64_t c = 0; c < channels; ++c) {
    y[c] = quantized<T>(act(x[c]), grid_at(c));
  }
}

template <int kSums, typename T, typename Act, typename GridAt>
void differentiate_channels(
    const T* g, const T* x, T* to_x, int64_t channels, Act act, GridAt grid_at, double* sums) {
#pragma omp simd
  for (int64_t i = 0; i < channels; ++i) {
    Sum<T> a = 0, b = 0, c = 0;
    const T v = x[i], incoming = g[i];  // to_x may be g
    to_x[i] = differentiated<T>(incoming, v, act, grid_at(i), a, b, c);
    sums[i] += static_cast<Sum<T>>(incoming) * a;
    if constexpr (kSums == 3) {
      sums[channels + i] += b;
      sums[2 * channels + i] += c;
    }
  }
}

// Parameters constant along memory: rows of `inner` elements.

template <typename T, typename Act, typename GridAt>
void forward_rows(const T* x, T* y, const Layout& layout, const Act& act, const GridAt& grid_at) {
  const int64_t length = layout.inner, per_row = tasks_along(length);
  const int64_t tasks = layout.outer * layout.channels * per_row;
  at::parallel_for(0, tasks, tasks_per_thread(length), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t row = task / per_row, first = task % per_row * kTask;
      const int64_t at = row * length + first, count = std::min(kTask, length - first);
      quantize(x + at, y + at, count, act, grid_at(row % layout.channels));
    }
  });
}

// sums: [kSums][channels], zero on entry.
template <int kSums, typename T, typename Act, typename GridAt>
void backward_rows(
    const T* g,
    const T* x,
    T* to_x,
    double* sums,
    const Layout& layout,
    const Act& act,
    const GridAt& grid_at) {
  const int64_t length = layout.inner, per_row = tasks_along(length);
  const int64_t tasks = layout.outer * layout.channels * per_row;
  std::vector<double> partial(tasks * kSums);
  at::parallel_for(0, tasks, tasks_per_thread(length), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t row = task / per_row, first = row * length + task % per_row * kTask;
      const int64_t last = std::min(first + kTask, (row + 1) * length);
      for (int64_t at = first; at < last; at += kBlock) {
        differentiate(
            g + at, x + at, to_x + at, std::min(kBlock, last - at), act,
            grid_at(row % layout.channels), partial.data() + task * kSums);
      }
    }
  });
  for (int64_t task = 0; task < tasks; ++task) {
    for (int k = 0; k < kSums; ++k) {
      sums[k * layout.channels + task / per_row % layout.channels] += partial[task * kSums + k];
    }
  }
}

// Parameters that change with every element: inner = 1.

template <typename T, typename Act, typename GridAt>
void forward_columns(const T* x, T* y, const Layout& layout, const Act& act, const GridAt& grid_at) {
  const int64_t channels = layout.channels;
  at::parallel_for(0, layout.outer, tasks_per_thread(channels), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      quantize_channels(x + row * channels, y + row * channels, channels, act, grid_at);
    }
  });
}

template <int kSums, typename T, typename Act, typename GridAt>
void backward_columns(
    const T* g,
    const T* x,
    T* to_x,
    double* sums,
    const Layout& layout,
    const Act& act,
    const GridAt& grid_at) {
  const int64_t channels = layout.channels;
  const int64_t rows = std::max<int64_t>(1, kTask / channels);  // of one task
  const int64_t tasks = (layout.outer + rows - 1) / rows;
  std::vector<double> partial(tasks * kSums * channels);
  at::parallel_for(0, tasks, 2, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      double* total = partial.data() + task * kSums * channels;
      for (int64_t row = task * rows; row < std::min((task + 1) * rows, layout.outer); ++row) {
        const int64_t at = row * channels;
        differentiate_channels<kSums>(g + at, x + at, to_x + at, channels, act, grid_at, total);
      }
    }
  });
  for (int64_t task = 0; task < tasks; ++task) {
    for (int64_t i = 0; i < kSums * channels; ++i) {
      sums[i] += partial[task * kSums * channels + i];
    }
  }
}

template <typename T, typename Act, typename GridAt>
void forward_all(const T* x, T* y, const Layout& layout, const Act& act, const GridAt& grid_at) {
  if (layout.inner == 1 && layout.channels > 1) {
    forward_columns(x, y, layout, act, grid_at);
  } else {
    forward_rows(x, y, layout, act, grid_at);
  }
}

template <int kSums, typename T, typename Act, typename GridAt>
void backward_all(
    const T* g,
    const T* x,
    T* to_x,
    double* sums,
    const Layout& layout,
    const Act& act,
    const GridAt& grid_at) {
  if (layout.inner == 1 && layout.channels > 1) {
    backward_columns<kSums>(g, x, to_x, sums, layout, act, grid_at);
  } else {
    backward_rows<kSums>(g, x, to_x, sums, layout, act, grid_at);
  }
}

}  // namespace qat
