// Fused quantizers composed of ATen ops: GPUs, meta tensors, unusual broadcasting. The Python
// implementation (core/qat/ops/reference/fake_quantize.py), step by step.

#include <ATen/ExpandUtils.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include "../layout.h"
#include "../values.h"
#include "quantizers.h"

namespace qat {
namespace {

using at::Tensor;

// In the dtype of `scale`.
Tensor activated(const Tensor& x, const Tensor& scale, const Activation& activation) {
  const auto& [lo, hi] = activation;
  if (!lo && !hi) {
    return as_dtype(x, scale.scalar_type());
  }
  std::optional<at::Scalar> low, high;
  if (lo) {
    low = *lo;
  }
  if (hi) {
    high = *hi;
  }
  return as_dtype(x.clamp(low, high), scale.scalar_type());
}

Tensor stopped_by_activation(Tensor grad, const Tensor& x, const Activation& activation) {
  if (activation.lo) {
    grad = grad.masked_fill(x.le(*activation.lo), 0.0);
  }
  if (activation.hi) {
    grad = grad.masked_fill(x.ge(*activation.hi), 0.0);
  }
  return grad;
}

// y in the dtype and memory order of x, or of a copy of x where that is not dense: as the kernels
// give it.
Tensor laid_out_as(const Tensor& x, const Tensor& wide) {
  const Tensor y = as_dtype(wide, x.scalar_type());
  const Tensor in_order = dense(x);
  const bool is_same = y.sym_sizes() != x.sym_sizes() || y.sym_strides() == in_order.sym_strides();
  return is_same ? y : at::empty_like(in_order).copy_(y);
}

struct Ends {
  Tensor low, high;
};

Ends grid_ends(const Integers& integers, at::ScalarType dtype) {
  const Tensor& bit_width = integers.bit_width;
  const double narrow = integers.is_narrow ? 1.0 : 0.0;
  if (integers.is_signed) {
    const Tensor half = at::pow(2, bit_width.sub(1));
    return {half.neg().add(narrow).to(dtype), half.sub(1).to(dtype)};
  }
  return {
      at::zeros_like(bit_width).to(dtype), at::pow(2, bit_width).sub(1).sub(narrow).to(dtype)};
}

// [k, *shape] of the broadcast rows, each summed to shape.
Tensor summed(std::vector<Tensor> rows, c10::SymIntArrayRef shape) {
  for (Tensor& row : rows) {
    row = row.sum_to_size_symint(shape);
  }
  return at::stack(rows);
}

}  // namespace

template <>
Tensor Composed::int_forward(
    const Tensor& x, const Tensor& scale, const Integers& integers, const Activation& activation) {
  const Tensor& zero_point = integers.zero_point;
  const Ends ends = grid_ends(integers, scale.scalar_type());
  const Tensor q = activated(x, scale, activation).div(scale).round().add(zero_point);
  return laid_out_as(x, q.clamp(ends.low, ends.high).sub(zero_point).mul(scale));
}

template <>
Gradients Composed::int_backward(
    const Incoming& incoming, const Tensor& x, const Tensor& scale, const Integers& integers,
    const Activation& activation, bool all_sums) {
  const Tensor &grad = incoming.gradient, &zero_point = integers.zero_point;
  const Ends ends = grid_ends(integers, scale.scalar_type());
  Tensor steps = activated(x, scale, activation).div(scale);
  const Tensor free = steps.round().add(zero_point);
  const Tensor q = free.clamp(ends.low, ends.high);
  Tensor to_x = grad;
  if (integers.clipped) {
    const Tensor stops = q.ne(free);  // NaN stops as well
    to_x = grad.masked_fill(stops, 0.0);
    steps = steps.masked_fill(stops, 0.0);
  }
  to_x = stopped_by_activation(to_x, x, activation);
  const Tensor wide = as_dtype(grad, scale.scalar_type());
  std::vector<Tensor> rows{q.sub(zero_point).sub(steps).mul(wide)};
  if (all_sums) {
    rows.push_back(at::where(q.gt(free), wide, 0.0));
    rows.push_back(at::where(q.lt(free), wide, 0.0));
  }
  // bit_width may have more entries than scale and zero_point: then the sums do, too.
  auto shape = at::infer_size_symint(scale.sym_sizes(), zero_point.sym_sizes());
  if (integers.bit_width.dim() > 0) {
    shape = at::infer_size_symint(shape, integers.bit_width.sym_sizes());
  }
  return {laid_out_as(x, to_x), summed(rows, shape)};
}

template <>
Tensor Composed::binary_forward(
    const Tensor& x, const Tensor& scale, const Activation& activation) {
  return laid_out_as(x, binary_sign(activated(x, scale, activation)).mul(scale));
}

template <>
Gradients Composed::binary_backward(
    const Incoming& grad, const Tensor& x, const Tensor& scale, bool clipped,
    const Activation& activation) {
  const Tensor v = activated(x, scale, activation);
  const Tensor wide = as_dtype(grad.gradient, scale.scalar_type());
  Tensor to_x = wide.mul(scale), to_scale = wide.mul(binary_sign(v));
  if (clipped) {
    const Tensor inside = v.ge(scale.neg()).logical_and(v.le(scale));
    to_x = at::where(inside, to_x, 0.0);
    to_scale = to_scale.add(to_scale.mul(at::where(inside, 0.0, scale)));
  }
  to_x = stopped_by_activation(to_x, x, activation);
  return {laid_out_as(x, to_x), summed({to_scale}, scale.sym_sizes())};
}

template <>
Tensor Composed::ternary_forward(
    const Tensor& x, const Tensor& scale, double threshold, const Activation& activation) {
  const Tensor v = activated(x, scale, activation);
  const Tensor zero = v.abs().le(scale.mul(threshold));
  return laid_out_as(x, ternary_sign(v).masked_fill(zero, 0.0).mul(scale));
}

template <>
Gradients Composed::ternary_backward(
    const Incoming& grad, const Tensor& x, const Tensor& scale, double threshold,
    const Activation& activation) {
  const Tensor v = activated(x, scale, activation), zero = v.abs().le(scale.mul(threshold));
  const Tensor wide = as_dtype(grad.gradient, scale.scalar_type());
  const Tensor to_x = wide.mul(scale).masked_fill(zero, 0.0);
  const Tensor to_scale = wide.mul(ternary_sign(v)).masked_fill(zero, 0.0);
  return {
      laid_out_as(x, stopped_by_activation(to_x, x, activation)),
      summed({to_scale}, scale.sym_sizes())};
}

}  // namespace qat
