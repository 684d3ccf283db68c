// Fused quantizers on a CPU: one pass over memory forward, one backward.

#include <ATen/Dispatch.h>
#include <ATen/ExpandUtils.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <limits>

#include "fake_quantize.h"
#include "grids.h"
#include "rows.h"

namespace qat::fused {
namespace {

using at::Tensor;

Tensor dense(const Tensor& x) {
  return x.is_non_overlapping_and_dense() ? x : x.contiguous();
}

// Whether two tensors of one shape have one memory order.
bool is_alike(const Tensor& a, const Tensor& b) {
  return a.strides() == b.strides() && a.scalar_type() == b.scalar_type();
}

template <typename T, typename Body>
void with_activation(Bound lo, Bound hi, const Body& body) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const T low = static_cast<T>(lo.value_or(-kInfinity));
  const T high = static_cast<T>(hi.value_or(kInfinity));
  if (!lo && !hi) {
    body(Activation<T, Bounds::kNone>{low, high});
  } else if (!hi) {  // ReLU
    body(Activation<T, Bounds::kLow>{low, high});
  } else if (!lo) {
    body(Activation<T, Bounds::kHigh>{low, high});
  } else {
    body(Activation<T, Bounds::kBoth>{low, high});
  }
}

template <typename T>
constexpr bool kIsHalf = sizeof(T) == 2;

bool has_kernel(const Tensor& x, at::ScalarType number) {
  const auto dtype = x.scalar_type();
  const bool is_half = dtype == at::kHalf || dtype == at::kBFloat16;
  return x.numel() > 0 && (dtype == number || (is_half && number == at::kFloat));
}

// body(T(), Number()): an example of the elements of x, and of what is computed in.
template <typename Body>
void with_types(at::ScalarType x, at::ScalarType number, const Body& body) {
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x, "qat_fake_quantize", [&] {
    if (x == number) {
      body(scalar_t(), scalar_t());
    } else if constexpr (kIsHalf<scalar_t>) {
      body(scalar_t(), float());
    }
  });
}

// grid_of(Number()): gives, for a channel, its grid; called once the dtype is known.
template <typename GridOf>
Tensor forward(
    const Tensor& x, at::ScalarType number, const Layout& layout, Bound lo, Bound hi,
    const GridOf& grid_of) {
  Tensor y = at::empty_like(x);
  with_types(x.scalar_type(), number, [&](auto element, auto example) {
    using T = decltype(element);
    const auto grid_at = grid_of(example);
    with_activation<T>(lo, hi, [&](const auto& act) {
      forward_all(x.const_data_ptr<T>(), y.mutable_data_ptr<T>(), layout, act, grid_at);
    });
  });
  return y;
}

// sums: [k, channels in the order of memory] -> [k, *parameters].
Tensor in_shape(Tensor sums, const Layout& layout, int64_t dims, at::IntArrayRef parameters) {
  at::DimVector shape{sums.size(0)};
  shape.append(parameters.begin(), parameters.end());
  if (layout.channels == 1 || (layout.is_in_order && layout.repeats == 1)) {
    return sums.view(shape);
  }
  if (layout.repeats > 1) {
    sums = sums.reshape({sums.size(0), -1, layout.repeats}).sum(2);
  }
  const int64_t missing = dims - static_cast<int64_t>(parameters.size());
  at::DimVector in_order{sums.size(0)}, back(parameters.size() + 1);
  for (const int64_t dim : layout.order) {
    if (dim >= missing) {
      in_order.push_back(parameters[dim - missing]);
      back[dim - missing + 1] = static_cast<int64_t>(in_order.size()) - 1;
    }
  }
  return sums.reshape(in_order).permute(back);
}

// The gradient of x goes into to_x where that is like x, otherwise into memory of its own.
template <int kSums, typename GridOf>
Gradients backward(
    const Tensor& to_x_,
    const Tensor& grad,
    const Tensor& x,
    at::ScalarType number,
    const Layout& layout,
    at::IntArrayRef parameters,
    Bound lo,
    Bound hi,
    const GridOf& grid_of) {
  const bool is_in_order = is_alike(grad, x);
  const bool is_usable = to_x_.defined() && is_alike(to_x_, x);
  const Tensor to_x = is_usable ? to_x_ : at::empty_like(x);
  const Tensor g = is_in_order ? grad : (is_usable ? at::empty_like(x) : to_x).copy_(grad);
  std::vector<double> total(kSums * layout.channels);
  Tensor sums = at::empty({kSums, layout.channels}, x.options().dtype(number));
  with_types(x.scalar_type(), number, [&](auto element, auto example) {
    using T = decltype(element);
    using Number = decltype(example);
    const auto grid_at = grid_of(example);
    with_activation<T>(lo, hi, [&](const auto& act) {
      backward_all<kSums>(
          g.const_data_ptr<T>(), x.const_data_ptr<T>(), to_x.mutable_data_ptr<T>(), total.data(),
          layout, act, grid_at);
    });
    std::copy(total.begin(), total.end(), sums.mutable_data_ptr<Number>());
  });
  return {to_x, in_shape(sums, layout, x.dim(), parameters)};
}

at::DimVector int_parameters(const Tensor& scale, const Tensor& zero_point) {
  return at::infer_size_dimvector(scale.sizes(), zero_point.sizes());
}

double number(const Tensor& x) {
  return x.scalar_type() == at::kFloat ? *x.const_data_ptr<float>() : x.item<double>();
}

template <bool kAllSums>
auto int_grid(
    const Tensor& x,
    const Layout& layout,
    const Tensor& scale,
    const Tensor& zero_point,
    const Tensor& bit_width,
    bool is_signed,
    bool narrow_range,
    bool clipped) {
  const auto shape = int_parameters(scale, zero_point);
  const auto entries = [&](const Tensor& parameter) {
    return per_channel(parameter.numel() == 1 ? parameter : parameter.expand(shape), x, layout);
  };
  const Tensor scales = entries(scale), zero_points = entries(zero_point);
  const double bits = number(bit_width);
  const double half = std::pow(2.0, bits - 1), narrow = narrow_range ? 1.0 : 0.0;
  const double qmin = is_signed ? -half + narrow : 0.0;
  const double qmax = is_signed ? half - 1.0 : 2.0 * half - 1.0 - narrow;
  return [=](auto example) {
    using T = decltype(example);
    const T* s = scales.const_data_ptr<T>();
    const T* z = zero_points.const_data_ptr<T>();
    const T low = static_cast<T>(qmin), high = static_cast<T>(qmax);
    return [=](int64_t c) { return IntGrid<T, kAllSums>{s[c], z[c], low, high, clipped}; };
  };
}

auto binary_grid(const Tensor& x, const Layout& layout, const Tensor& scale, bool clipped) {
  const Tensor scales = per_channel(scale, x, layout);
  return [=](auto example) {
    using T = decltype(example);
    const T* s = scales.const_data_ptr<T>();
    return [=](int64_t c) { return BinaryGrid<T>{s[c], clipped}; };
  };
}

auto ternary_grid(const Tensor& x, const Layout& layout, const Tensor& scale, double threshold) {
  const Tensor scales = per_channel(scale, x, layout);
  const Tensor edges = scales.mul(threshold);
  return [=](auto example) {
    using T = decltype(example);
    const T* s = scales.const_data_ptr<T>();
    const T* e = edges.const_data_ptr<T>();
    return [=](int64_t c) { return TernaryGrid<T>{s[c], e[c]}; };
  };
}

}  // namespace

Tensor int_forward(
    const Tensor& x_, const Tensor& scale, const Tensor& zero_point, const Tensor& bit_width,
    bool is_signed, bool narrow_range, Bound lo, Bound hi) {
  const Tensor x = dense(x_);
  const auto layout = find_layout(x, int_parameters(scale, zero_point));
  const auto number = scale.scalar_type();
  if (!layout || bit_width.numel() != 1 || !has_kernel(x, number)) {
    return composed::int_forward(
        x, scale, zero_point, bit_width, is_signed, narrow_range, lo, hi);
  }
  return forward(
      x, number, *layout, lo, hi,
      int_grid<false>(x, *layout, scale, zero_point, bit_width, is_signed, narrow_range, true));
}

Gradients int_backward_into(
    const Tensor& to_x, const Tensor& grad, const Tensor& x_, const Tensor& scale,
    const Tensor& zero_point, const Tensor& bit_width, bool is_signed, bool narrow_range,
    bool clipped, Bound lo, Bound hi, bool all_sums) {
  const Tensor x = dense(x_);
  const auto parameters = int_parameters(scale, zero_point);
  const auto layout = find_layout(x, parameters);
  const auto number = scale.scalar_type();
  if (!layout || bit_width.numel() != 1 || !has_kernel(x, number)) {
    return composed::int_backward(
        grad, x, scale, zero_point, bit_width, is_signed, narrow_range, clipped, lo, hi, all_sums);
  }
  if (all_sums) {
    return backward<3>(
        to_x, grad, x, number, *layout, parameters, lo, hi,
        int_grid<true>(x, *layout, scale, zero_point, bit_width, is_signed, narrow_range, clipped));
  }
  return backward<1>(
      to_x, grad, x, number, *layout, parameters, lo, hi,
      int_grid<false>(x, *layout, scale, zero_point, bit_width, is_signed, narrow_range, clipped));
}

Gradients int_backward(
    const Tensor& grad, const Tensor& x, const Tensor& scale, const Tensor& zero_point,
    const Tensor& bit_width, bool is_signed, bool narrow_range, bool clipped, Bound lo, Bound hi,
    bool all_sums) {
  return int_backward_into(
      Tensor(), grad, x, scale, zero_point, bit_width, is_signed, narrow_range, clipped, lo, hi,
      all_sums);
}

Tensor binary_forward(const Tensor& x_, const Tensor& scale, Bound lo, Bound hi) {
  const Tensor x = dense(x_);
  const auto layout = find_layout(x, scale.sizes());
  const auto number = scale.scalar_type();
  if (!layout || !has_kernel(x, number)) {
    return composed::binary_forward(x, scale, lo, hi);
  }
  return forward(x, number, *layout, lo, hi, binary_grid(x, *layout, scale, true));
}

Gradients binary_backward_into(
    const Tensor& to_x, const Tensor& grad, const Tensor& x_, const Tensor& scale, bool clipped,
    Bound lo, Bound hi) {
  const Tensor x = dense(x_);
  const auto layout = find_layout(x, scale.sizes());
  const auto number = scale.scalar_type();
  if (!layout || !has_kernel(x, number)) {
    return composed::binary_backward(grad, x, scale, clipped, lo, hi);
  }
  return backward<1>(
      to_x, grad, x, number, *layout, scale.sizes(), lo, hi,
      binary_grid(x, *layout, scale, clipped));
}

Gradients binary_backward(
    const Tensor& grad, const Tensor& x, const Tensor& scale, bool clipped, Bound lo, Bound hi) {
  return binary_backward_into(Tensor(), grad, x, scale, clipped, lo, hi);
}

Tensor ternary_forward(const Tensor& x_, const Tensor& scale, double threshold, Bound lo, Bound hi) {
  const Tensor x = dense(x_);
  const auto layout = find_layout(x, scale.sizes());
  const auto number = scale.scalar_type();
  if (!layout || !has_kernel(x, number)) {
    return composed::ternary_forward(x, scale, threshold, lo, hi);
  }
  return forward(x, number, *layout, lo, hi, ternary_grid(x, *layout, scale, threshold));
}

Gradients ternary_backward_into(
    const Tensor& to_x, const Tensor& grad, const Tensor& x_, const Tensor& scale, double threshold,
    Bound lo, Bound hi) {
  const Tensor x = dense(x_);
  const auto layout = find_layout(x, scale.sizes());
  const auto number = scale.scalar_type();
  if (!layout || !has_kernel(x, number)) {
    return composed::ternary_backward(grad, x, scale, threshold, lo, hi);
  }
  return backward<1>(
      to_x, grad, x, number, *layout, scale.sizes(), lo, hi,
      ternary_grid(x, *layout, scale, threshold));
}

Gradients ternary_backward(
    const Tensor& grad, const Tensor& x, const Tensor& scale, double threshold, Bound lo,
    Bound hi) {
  return ternary_backward_into(Tensor(), grad, x, scale, threshold, lo, hi);
}

}  // namespace qat::fused
