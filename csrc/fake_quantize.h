// Fused quantizers; core/qat/ops/fake_quantize.py documents their values and gradients.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace qat {

using Bound = std::optional<double>;

// The public ops: dtypes brought together, then forward and backward below as one autograd function.
at::Tensor int_fake_quantize(
    const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
    const at::Tensor& bit_width, bool is_signed, bool narrow_range, bool clipped, Bound lo, Bound hi);
std::tuple<at::Tensor, at::Tensor> threshold_int_fake_quantize(
    const at::Tensor& x, const at::Tensor& stored, double smallest, const at::Tensor& int_range,
    const at::Tensor& zero_point, const at::Tensor& bit_width, bool is_signed, bool narrow_range,
    bool clipped, Bound lo, Bound hi);
std::tuple<at::Tensor, at::Tensor> maximum_int_fake_quantize(
    const at::Tensor& x, int64_t rows, at::IntArrayRef shape, double smallest,
    const at::Tensor& int_range, const at::Tensor& zero_point, const at::Tensor& bit_width,
    bool is_signed, bool narrow_range, bool clipped);
at::Tensor binary_fake_quantize(
    const at::Tensor& x, const at::Tensor& scale, bool clipped, Bound lo, Bound hi);
at::Tensor ternary_fake_quantize(
    const at::Tensor& x, const at::Tensor& scale, double threshold, Bound lo, Bound hi);

// Forward and backward, without autograd. Scale and zero point are of the dtype that is computed in,
// and so are the sums; x, what it becomes, and their gradients are of one dtype, not wider.
// A backward gives the gradient of x and sums [k, *parameters], where *parameters is the broadcast
// shape of the parameters: row 0 is the gradient of the scale; where all_sums, rows 1 and 2 are the
// incoming gradients that the lower and the upper end of the grid stopped.
using Gradients = std::tuple<at::Tensor, at::Tensor>;

// `fused`: kernels of one pass, on a CPU; `_into` writes the gradient of x into `to_x`, which may be
// `grad`. `composed`: ATen ops, on every device; also taken on a CPU where parameters do not lie along
// one run of dimensions.
namespace fused {
at::Tensor int_forward(
    const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
    const at::Tensor& bit_width, bool is_signed, bool narrow_range, Bound lo, Bound hi);
Gradients int_backward(
    const at::Tensor& grad, const at::Tensor& x, const at::Tensor& scale,
    const at::Tensor& zero_point, const at::Tensor& bit_width, bool is_signed, bool narrow_range,
    bool clipped, Bound lo, Bound hi, bool all_sums);
at::Tensor binary_forward(const at::Tensor& x, const at::Tensor& scale, Bound lo, Bound hi);
Gradients binary_backward(
    const at::Tensor& grad, const at::Tensor& x, const at::Tensor& scale, bool clipped, Bound lo,
    Bound hi);
at::Tensor ternary_forward(
    const at::Tensor& x, const at::Tensor& scale, double threshold, Bound lo, Bound hi);
Gradients ternary_backward(
    const at::Tensor& grad, const at::Tensor& x, const at::Tensor& scale, double threshold,
    Bound lo, Bound hi);

Gradients int_backward_into(
    const at::Tensor& to_x, const at::Tensor& grad, const at::Tensor& x, const at::Tensor& scale,
    const at::Tensor& zero_point, const at::Tensor& bit_width, bool is_signed, bool narrow_range,
    bool clipped, Bound lo, Bound hi, bool all_sums);
Gradients binary_backward_into(
    const at::Tensor& to_x, const at::Tensor& grad, const at::Tensor& x, const at::Tensor& scale,
    bool clipped, Bound lo, Bound hi);
Gradients ternary_backward_into(
    const at::Tensor& to_x, const at::Tensor& grad, const at::Tensor& x, const at::Tensor& scale,
    double threshold, Bound lo, Bound hi);
}  // namespace fused

namespace composed {
at::Tensor int_forward(
    const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
    const at::Tensor& bit_width, bool is_signed, bool narrow_range, Bound lo, Bound hi);
Gradients int_backward(
    const at::Tensor& grad, const at::Tensor& x, const at::Tensor& scale,
    const at::Tensor& zero_point, const at::Tensor& bit_width, bool is_signed, bool narrow_range,
    bool clipped, Bound lo, Bound hi, bool all_sums);
at::Tensor binary_forward(const at::Tensor& x, const at::Tensor& scale, Bound lo, Bound hi);
Gradients binary_backward(
    const at::Tensor& grad, const at::Tensor& x, const at::Tensor& scale, bool clipped, Bound lo,
    Bound hi);
at::Tensor ternary_forward(
    const at::Tensor& x, const at::Tensor& scale, double threshold, Bound lo, Bound hi);
Gradients ternary_backward(
    const at::Tensor& grad, const at::Tensor& x, const at::Tensor& scale, double threshold,
    Bound lo, Bound hi);
}  // namespace composed

}  // namespace qat
