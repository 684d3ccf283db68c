// Fused quantizers composed of ATen ops: GPUs, meta tensors, unusual broadcasting. The Python
// implementation (core/qat/ops/reference/fake_quantize.py), step by step.

#include <ATen/ExpandUtils.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/floor.h>
#include <ATen/ops/round.h>
#include <ATen/ops/sign.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include "fake_quantize.h"
#include "layout.h"

namespace qat::composed {
namespace {

using at::Tensor;

// In the dtype of `scale`.
Tensor activated(const Tensor& x, const Tensor& scale, Bound lo, Bound hi) {
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
  return as_dtype(at::clamp(x, low, high), scale.scalar_type());
}

Tensor stopped_by_activation(Tensor grad, const Tensor& x, Bound lo, Bound hi) {
  if (lo) {
    grad = grad.masked_fill(x.le(*lo), 0.0);
  }
  if (hi) {
    grad = grad.masked_fill(x.ge(*hi), 0.0);
  }
  return grad;
}

// y in the dtype and memory order of x, or of a copy of x where that is not dense: as the kernels
// give it.
Tensor laid_out_as(const Tensor& x, const Tensor& wide) {
  const Tensor y = as_dtype(wide, x.scalar_type());
  const Tensor dense = x.is_non_overlapping_and_dense() ? x : x.contiguous();
  const bool is_same = y.sym_sizes() != x.sym_sizes() || y.sym_strides() == dense.sym_strides();
  return is_same ? y : at::empty_like(dense).copy_(y);
}

Tensor binary_sign(const Tensor& x) {
  return at::rsub(at::floor(at::clamp(x, -1.0, 0.0)), 1, -2);
}

Tensor ternary_sign(const Tensor& x) {
  return at::sign(x).add(at::clamp(x, 0.0, 0.0));
}

struct Ends {
  Tensor low, high;
};

Ends grid_ends(const Tensor& bit_width, bool is_signed, bool narrow_range, at::ScalarType dtype) {
  const double narrow = narrow_range ? 1.0 : 0.0;
  if (is_signed) {
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

Tensor int_forward(
    const Tensor& x, const Tensor& scale, const Tensor& zero_point, const Tensor& bit_width,
    bool is_signed, bool narrow_range, Bound lo, Bound hi) {
  const Ends ends = grid_ends(bit_width, is_signed, narrow_range, scale.scalar_type());
  const Tensor q = at::round(activated(x, scale, lo, hi).div(scale)).add(zero_point);
  return laid_out_as(x, at::clamp(q, ends.low, ends.high).sub(zero_point).mul(scale));
}

Gradients int_backward(
    const Tensor& grad, const Tensor& x, const Tensor& scale, const Tensor& zero_point,
    const Tensor& bit_width, bool is_signed, bool narrow_range, bool clipped, Bound lo, Bound hi,
    bool all_sums) {
  const Ends ends = grid_ends(bit_width, is_signed, narrow_range, scale.scalar_type());
  Tensor steps = activated(x, scale, lo, hi).div(scale);
  const Tensor free = at::round(steps).add(zero_point);
  const Tensor q = at::clamp(free, ends.low, ends.high);
  Tensor to_x = grad;
  if (clipped) {
    const Tensor stops = q.ne(free);  // NaN stops as well
    to_x = grad.masked_fill(stops, 0.0);
    steps = steps.masked_fill(stops, 0.0);
  }
  to_x = stopped_by_activation(to_x, x, lo, hi);
  const Tensor wide = as_dtype(grad, scale.scalar_type());
  std::vector<Tensor> rows{q.sub(zero_point).sub(steps).mul(wide)};
  if (all_sums) {
    rows.push_back(at::where(q.gt(free), wide, 0.0));
    rows.push_back(at::where(q.lt(free), wide, 0.0));
  }
  // bit_width may have more entries than scale and zero_point: then the sums do, too.
  auto shape = at::infer_size_symint(scale.sym_sizes(), zero_point.sym_sizes());
  if (bit_width.dim() > 0) {
    shape = at::infer_size_symint(shape, bit_width.sym_sizes());
  }
  return {laid_out_as(x, to_x), summed(rows, shape)};
}

Tensor binary_forward(const Tensor& x, const Tensor& scale, Bound lo, Bound hi) {
  return laid_out_as(x, binary_sign(activated(x, scale, lo, hi)).mul(scale));
}

Gradients binary_backward(
    const Tensor& grad, const Tensor& x, const Tensor& scale, bool clipped, Bound lo, Bound hi) {
  const Tensor v = activated(x, scale, lo, hi), wide = as_dtype(grad, scale.scalar_type());
  Tensor to_x = wide.mul(scale), to_scale = wide.mul(binary_sign(v));
  if (clipped) {
    const Tensor inside = at::logical_and(v.ge(scale.neg()), v.le(scale));
    to_x = at::where(inside, to_x, 0.0);
    to_scale = to_scale.add(to_scale.mul(at::where(inside, 0.0, scale)));
  }
  return {laid_out_as(x, stopped_by_activation(to_x, x, lo, hi)), summed({to_scale}, scale.sym_sizes())};
}

Tensor ternary_forward(const Tensor& x, const Tensor& scale, double threshold, Bound lo, Bound hi) {
  const Tensor v = activated(x, scale, lo, hi);
  const Tensor zero = v.abs().le(scale.mul(threshold));
  return laid_out_as(x, ternary_sign(v).masked_fill(zero, 0.0).mul(scale));
}

Gradients ternary_backward(
    const Tensor& grad, const Tensor& x, const Tensor& scale, double threshold, Bound lo,
    Bound hi) {
  const Tensor v = activated(x, scale, lo, hi), zero = v.abs().le(scale.mul(threshold));
  const Tensor wide = as_dtype(grad, scale.scalar_type());
  const Tensor to_x = wide.mul(scale).masked_fill(zero, 0.0);
  const Tensor to_scale = wide.mul(ternary_sign(v)).masked_fill(zero, 0.0);
  return {laid_out_as(x, stopped_by_activation(to_x, x, lo, hi)), summed({to_scale}, scale.sym_sizes())};
}

}  // namespace qat::composed
