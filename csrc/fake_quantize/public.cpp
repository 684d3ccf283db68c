// The public fused quantizers: dtypes brought together, then one autograd function each.

#include <ATen/ops/max.h>
#include <ATen/ops/result_type.h>

#include "int_function.h"
#include "sign_function.h"

namespace qat {

std::optional<Recipe> recipe_of(const Tensor& y) {
  if (y.output_nr() != 0) {
    return std::nullopt;
  }
  return recipe_by<
      ThresholdIntFakeQuantize, IntFakeQuantize, MaximumIntFakeQuantize, BinaryFakeQuantize,
      TernaryFakeQuantize>(y);
}

Tensor int_fake_quantize(
    const Tensor& x, const Tensor& scale, const Integers& integers, const Activation& activation) {
  const Types types = types_of(x, scale);
  const Tensor y = IntFakeQuantize::apply(
      operand(x, types), as_dtype(scale, types.number), as_dtype(integers.zero_point, types.number),
      integers.bit_width, IntOptions(integers, activation_for(x, activation)));
  return as_dtype(y, types.result);
}

std::tuple<Tensor, Tensor> threshold_int_fake_quantize(
    const Tensor& x, const Threshold& threshold, const Integers& integers,
    const Activation& activation) {
  const auto& [stored, smallest, int_range] = threshold;
  const Types types = types_of(x, at::result_type(stored, int_range), stored.dim());
  const variable_list results = ThresholdIntFakeQuantize::apply(
      operand(x, types), stored, smallest, int_range, as_dtype(integers.zero_point, types.number),
      integers.bit_width, IntOptions(integers, activation_for(x, activation)));
  return {as_dtype(results[0], types.result), results[1]};
}

std::tuple<Tensor, Tensor> maximum_int_fake_quantize(
    const Tensor& x, int64_t rows, at::IntArrayRef shape, double smallest, const Tensor& int_range,
    const Integers& integers) {
  const Tensor &zero_point = integers.zero_point, &bit_width = integers.bit_width;
  const bool others_learn = int_range.requires_grad() || bit_width.requires_grad() ||
      zero_point.requires_grad() || zero_point.scalar_type() != x.scalar_type();
  if (others_learn || at::isTensorSubclassLike(x) || !has_maximum_kernel(x)) {
    const Tensor size = x.abs();
    const Tensor largest =
        rows == 0 ? at::max(size) : std::get<0>(at::max(size.reshape({rows, -1}), 1));
    return threshold_int_fake_quantize(
        x, {largest.reshape(shape), smallest, int_range}, integers, {});
  }
  const variable_list results = MaximumIntFakeQuantize::apply(
      x, rows, shape, smallest, int_range, zero_point, bit_width, IntOptions(integers, {}));
  return {results[0], results[1]};
}

Tensor binary_fake_quantize(
    const Tensor& x, const Tensor& scale, bool clipped, const Activation& activation) {
  const Types types = types_of(x, scale);
  const Tensor y = BinaryFakeQuantize::apply(
      operand(x, types), as_dtype(scale, types.number), clipped, activation_for(x, activation));
  return as_dtype(y, types.result);
}

Tensor ternary_fake_quantize(
    const Tensor& x, const Tensor& scale, double threshold, const Activation& activation) {
  const Types types = types_of(x, scale);
  const Tensor y = TernaryFakeQuantize::apply(
      operand(x, types), as_dtype(scale, types.number), threshold, activation_for(x, activation));
  return as_dtype(y, types.result);
}

}  // namespace qat
