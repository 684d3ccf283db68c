// The one registration block of the library: every op of csrc/ by schema.
//
// A definition with an implementation of its own registers a composite: the dispatcher runs it at every
// level (autograd, meta tensors, tracing), and each level sees the ATen ops inside. That is what makes
// the STE ops transparent to torch.compile and torch.export. An op that is a kernel of its own (no ATen
// inside) is defined here by schema alone: its kernel is for the CPU, its composition of ATen ops for all
// else, meta tensors included.

#include <torch/library.h>

#include "fake_quantize.h"
#include "recompute.h"
#include "statistics.h"
#include "ste.h"

TORCH_LIBRARY(qat, m) {
  m.def("round_ste(Tensor x) -> Tensor", qat::round_ste);
  m.def("ceil_ste(Tensor x) -> Tensor", qat::ceil_ste);
  m.def("floor_ste(Tensor x) -> Tensor", qat::floor_ste);
  m.def("round_to_zero_ste(Tensor x) -> Tensor", qat::round_to_zero_ste);
  m.def("dpu_round_ste(Tensor x) -> Tensor", qat::dpu_round_ste);
  m.def("binary_sign_ste(Tensor x) -> Tensor", qat::binary_sign_ste);
  m.def("ternary_sign_ste(Tensor x) -> Tensor", qat::ternary_sign_ste);
  m.def("scalar_clamp_ste(Tensor x, float lo, float hi) -> Tensor", qat::scalar_clamp_ste);
  m.def("scalar_clamp_min_ste(Tensor x, float lo) -> Tensor", qat::scalar_clamp_min_ste);
  m.def("tensor_clamp(Tensor x, Tensor lo, Tensor hi) -> Tensor", qat::tensor_clamp);
  m.def("tensor_clamp_ste(Tensor x, Tensor lo, Tensor hi) -> Tensor", qat::tensor_clamp_ste);
  m.def(
      "tensor_clamp_ste_(Tensor(a!) x, Tensor lo, Tensor hi) -> Tensor(a!)",
      qat::tensor_clamp_ste_);
  m.def("abs_binary_sign_grad(Tensor x) -> Tensor", qat::abs_binary_sign_grad);
  m.def("positive_ste(Tensor x, float lo) -> Tensor", qat::positive_ste);
  m.def(
      "scale_from_threshold(Tensor threshold, Tensor int_range) -> Tensor",
      qat::scale_from_threshold);

  m.def(
      "int_fake_quantize(Tensor x, Tensor scale, Tensor zero_point, Tensor bit_width, bool signed, "
      "bool narrow_range, bool clipped, float? lo=None, float? hi=None) -> Tensor",
      qat::int_fake_quantize);
  m.def(
      "threshold_int_fake_quantize(Tensor x, Tensor stored, float smallest, Tensor int_range, "
      "Tensor zero_point, Tensor bit_width, bool signed, bool narrow_range, bool clipped, "
      "float? lo=None, float? hi=None) -> (Tensor, Tensor)",
      qat::threshold_int_fake_quantize);
  m.def(
      "maximum_int_fake_quantize(Tensor x, int rows, int[] shape, float smallest, "
      "Tensor int_range, Tensor zero_point, Tensor bit_width, bool signed, bool narrow_range, "
      "bool clipped) -> (Tensor, Tensor)",
      qat::maximum_int_fake_quantize);
  m.def(
      "binary_fake_quantize(Tensor x, Tensor scale, bool clipped, float? lo=None, float? hi=None) "
      "-> Tensor",
      qat::binary_fake_quantize);
  m.def(
      "ternary_fake_quantize(Tensor x, Tensor scale, float threshold, float? lo=None, "
      "float? hi=None) -> Tensor",
      qat::ternary_fake_quantize);

  m.def(
      "int_fake_quantize_forward(Tensor x, Tensor scale, Tensor zero_point, Tensor bit_width, "
      "bool signed, bool narrow_range, float? lo, float? hi) -> Tensor");
  m.def(
      "int_fake_quantize_backward(Tensor grad, Tensor x, Tensor scale, Tensor zero_point, "
      "Tensor bit_width, bool signed, bool narrow_range, bool clipped, float? lo, float? hi, "
      "bool all_sums) -> (Tensor, Tensor)");
  m.def(
      "binary_fake_quantize_forward(Tensor x, Tensor scale, float? lo, float? hi) -> Tensor");
  m.def(
      "binary_fake_quantize_backward(Tensor grad, Tensor x, Tensor scale, bool clipped, float? lo, "
      "float? hi) -> (Tensor, Tensor)");
  m.def(
      "ternary_fake_quantize_forward(Tensor x, Tensor scale, float threshold, float? lo, "
      "float? hi) -> Tensor");
  m.def(
      "ternary_fake_quantize_backward(Tensor grad, Tensor x, Tensor scale, float threshold, "
      "float? lo, float? hi) -> (Tensor, Tensor)");

  m.def("keep_recipe(Tensor out, Tensor y) -> ()", qat::keep_recipe);

  m.def("abs_kth_largest(Tensor x, int k) -> Tensor");
}

TORCH_LIBRARY_IMPL(qat, CPU, m) {
  m.impl("abs_kth_largest", qat::abs_kth_largest_cpu);
  m.impl("int_fake_quantize_forward", qat::fused::int_forward);
  m.impl("int_fake_quantize_backward", qat::fused::int_backward);
  m.impl("binary_fake_quantize_forward", qat::fused::binary_forward);
  m.impl("binary_fake_quantize_backward", qat::fused::binary_backward);
  m.impl("ternary_fake_quantize_forward", qat::fused::ternary_forward);
  m.impl("ternary_fake_quantize_backward", qat::fused::ternary_backward);
}

TORCH_LIBRARY_IMPL(qat, CompositeExplicitAutograd, m) {
  m.impl("abs_kth_largest", qat::abs_kth_largest_composite);
  m.impl("int_fake_quantize_forward", qat::composed::int_forward);
  m.impl("int_fake_quantize_backward", qat::composed::int_backward);
  m.impl("binary_fake_quantize_forward", qat::composed::binary_forward);
  m.impl("binary_fake_quantize_backward", qat::composed::binary_backward);
  m.impl("ternary_fake_quantize_forward", qat::composed::ternary_forward);
  m.impl("ternary_fake_quantize_backward", qat::composed::ternary_backward);
}

// No shapes but the empty one, so nothing to compose; and no gradient.
TORCH_LIBRARY_IMPL(qat, Meta, m) {
  m.impl("abs_kth_largest", qat::abs_kth_largest_meta);
}

TORCH_LIBRARY_IMPL(qat, Autograd, m) {
  m.impl("abs_kth_largest", qat::abs_kth_largest_no_grad);
}
