// The one registration block of the library: every op of csrc/ by schema.
//
// A definition with an implementation of its own registers a composite: the dispatcher runs it at every
// level (autograd, meta tensors, tracing), and each level sees the ATen ops inside. That is what makes
// the STE ops transparent to torch.compile and torch.export. An op that is a kernel of its own (no ATen
// inside) is defined here by schema alone: its kernel is for the CPU, its composition of ATen ops for all
// else, meta tensors included.
//
// A schema has nothing but tensors and numbers. Here, and nowhere else, they are put together into what
// the functions of csrc/ take, and taken apart for a call through the dispatcher.

#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/library.h>

#include "fake_quantize/quantizers.h"
#include "recompute.h"
#include "statistics.h"
#include "ste.h"

namespace qat {
namespace {

using at::Tensor;

// The op `name`, called through the dispatcher, which knows the device.
template <typename Signature>
auto op(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

Tensor abs_kth_largest_no_grad(const Tensor& x, int64_t k) {
  static const auto call = op<Tensor(const Tensor&, int64_t)>("qat::abs_kth_largest");
  const at::AutoDispatchBelowADInplaceOrView guard;
  return call.call(x, k);
}

// The functions of Quantizers with the arguments of their schemas.
template <Way kWay>
struct Flat {
  static Tensor int_forward(
      const Tensor& x, const Tensor& scale, const Tensor& zero_point, const Tensor& bit_width,
      bool is_signed, bool narrow_range, Bound lo, Bound hi) {
    return Quantizers<kWay>::int_forward(
        x, scale, {zero_point, bit_width, is_signed, narrow_range, true}, {lo, hi});
  }

  static Gradients int_backward(
      const Tensor& grad, const Tensor& x, const Tensor& scale, const Tensor& zero_point,
      const Tensor& bit_width, bool is_signed, bool narrow_range, bool clipped, Bound lo, Bound hi,
      bool all_sums) {
    return Quantizers<kWay>::int_backward(
        {grad}, x, scale, {zero_point, bit_width, is_signed, narrow_range, clipped}, {lo, hi},
        all_sums);
  }

  static Tensor binary_forward(const Tensor& x, const Tensor& scale, Bound lo, Bound hi) {
    return Quantizers<kWay>::binary_forward(x, scale, {lo, hi});
  }

  static Gradients binary_backward(
      const Tensor& grad, const Tensor& x, const Tensor& scale, bool clipped, Bound lo, Bound hi) {
    return Quantizers<kWay>::binary_backward({grad}, x, scale, clipped, {lo, hi});
  }

  static Tensor ternary_forward(
      const Tensor& x, const Tensor& scale, double threshold, Bound lo, Bound hi) {
    return Quantizers<kWay>::ternary_forward(x, scale, threshold, {lo, hi});
  }

  static Gradients ternary_backward(
      const Tensor& grad, const Tensor& x, const Tensor& scale, double threshold, Bound lo,
      Bound hi) {
    return Quantizers<kWay>::ternary_backward({grad}, x, scale, threshold, {lo, hi});
  }

  static void implement(torch::Library& m) {
    m.impl("int_fake_quantize_forward", int_forward);
    m.impl("int_fake_quantize_backward", int_backward);
    m.impl("binary_fake_quantize_forward", binary_forward);
    m.impl("binary_fake_quantize_backward", binary_backward);
    m.impl("ternary_fake_quantize_forward", ternary_forward);
    m.impl("ternary_fake_quantize_backward", ternary_backward);
  }
};

using Ops = Flat<Way::kDispatched>;  // their types are the signatures

}  // namespace

template <>
Tensor Dispatched::int_forward(
    const Tensor& x, const Tensor& scale, const Integers& integers, const Activation& activation) {
  static const auto call = op<decltype(Ops::int_forward)>("qat::int_fake_quantize_forward");
  return call.call(
      x, scale, integers.zero_point, integers.bit_width, integers.is_signed, integers.is_narrow,
      activation.lo, activation.hi);
}

template <>
Gradients Dispatched::int_backward(
    const Incoming& grad, const Tensor& x, const Tensor& scale, const Integers& integers,
    const Activation& activation, bool all_sums) {
  static const auto call = op<decltype(Ops::int_backward)>("qat::int_fake_quantize_backward");
  return call.call(
      grad.gradient, x, scale, integers.zero_point, integers.bit_width, integers.is_signed,
      integers.is_narrow, integers.clipped, activation.lo, activation.hi, all_sums);
}

template <>
Tensor Dispatched::binary_forward(
    const Tensor& x, const Tensor& scale, const Activation& activation) {
  static const auto call = op<decltype(Ops::binary_forward)>("qat::binary_fake_quantize_forward");
  return call.call(x, scale, activation.lo, activation.hi);
}

template <>
Gradients Dispatched::binary_backward(
    const Incoming& grad, const Tensor& x, const Tensor& scale, bool clipped,
    const Activation& activation) {
  static const auto call = op<decltype(Ops::binary_backward)>("qat::binary_fake_quantize_backward");
  return call.call(grad.gradient, x, scale, clipped, activation.lo, activation.hi);
}

template <>
Tensor Dispatched::ternary_forward(
    const Tensor& x, const Tensor& scale, double threshold, const Activation& activation) {
  static const auto call = op<decltype(Ops::ternary_forward)>("qat::ternary_fake_quantize_forward");
  return call.call(x, scale, threshold, activation.lo, activation.hi);
}

template <>
Gradients Dispatched::ternary_backward(
    const Incoming& grad, const Tensor& x, const Tensor& scale, double threshold,
    const Activation& activation) {
  static const auto call =
      op<decltype(Ops::ternary_backward)>("qat::ternary_fake_quantize_backward");
  return call.call(grad.gradient, x, scale, threshold, activation.lo, activation.hi);
}

}  // namespace qat

TORCH_LIBRARY(qat, m) {
  using at::Tensor;
  using qat::Bound;

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
      [](const Tensor& x, const Tensor& scale, const Tensor& zero_point, const Tensor& bit_width,
         bool is_signed, bool narrow_range, bool clipped, Bound lo, Bound hi) {
        return qat::int_fake_quantize(
            x, scale, {zero_point, bit_width, is_signed, narrow_range, clipped}, {lo, hi});
      });
  m.def(
      "threshold_int_fake_quantize(Tensor x, Tensor stored, float smallest, Tensor int_range, "
      "Tensor zero_point, Tensor bit_width, bool signed, bool narrow_range, bool clipped, "
      "float? lo=None, float? hi=None) -> (Tensor, Tensor)",
      [](const Tensor& x, const Tensor& stored, double smallest, const Tensor& int_range,
         const Tensor& zero_point, const Tensor& bit_width, bool is_signed, bool narrow_range,
         bool clipped, Bound lo, Bound hi) {
        return qat::threshold_int_fake_quantize(
            x, {stored, smallest, int_range},
            {zero_point, bit_width, is_signed, narrow_range, clipped}, {lo, hi});
      });
  m.def(
      "maximum_int_fake_quantize(Tensor x, int rows, int[] shape, float smallest, "
      "Tensor int_range, Tensor zero_point, Tensor bit_width, bool signed, bool narrow_range, "
      "bool clipped) -> (Tensor, Tensor)",
      [](const Tensor& x, int64_t rows, at::IntArrayRef shape, double smallest,
         const Tensor& int_range, const Tensor& zero_point, const Tensor& bit_width, bool is_signed,
         bool narrow_range, bool clipped) {
        return qat::maximum_int_fake_quantize(
            x, rows, shape, smallest, int_range,
            {zero_point, bit_width, is_signed, narrow_range, clipped});
      });
  m.def(
      "binary_fake_quantize(Tensor x, Tensor scale, bool clipped, float? lo=None, float? hi=None) "
      "-> Tensor",
      [](const Tensor& x, const Tensor& scale, bool clipped, Bound lo, Bound hi) {
        return qat::binary_fake_quantize(x, scale, clipped, {lo, hi});
      });
  m.def(
      "ternary_fake_quantize(Tensor x, Tensor scale, float threshold, float? lo=None, "
      "float? hi=None) -> Tensor",
      [](const Tensor& x, const Tensor& scale, double threshold, Bound lo, Bound hi) {
        return qat::ternary_fake_quantize(x, scale, threshold, {lo, hi});
      });

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
  qat::Flat<qat::Way::kFused>::implement(m);
}

TORCH_LIBRARY_IMPL(qat, CompositeExplicitAutograd, m) {
  m.impl("abs_kth_largest", qat::abs_kth_largest_composite);
  qat::Flat<qat::Way::kComposed>::implement(m);
}

// No shapes but the empty one, so nothing to compose; and no gradient.
TORCH_LIBRARY_IMPL(qat, Meta, m) {
  m.impl("abs_kth_largest", qat::abs_kth_largest_meta);
}

TORCH_LIBRARY_IMPL(qat, Autograd, m) {
  m.impl("abs_kth_largest", qat::abs_kth_largest_no_grad);
}
