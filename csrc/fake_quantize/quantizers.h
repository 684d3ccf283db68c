// Fused quantizers; core/qat/ops/fused.py documents their values and gradients.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace qat {

using Bound = std::optional<double>;

// An activation function in front that is a clamp: min(max(x, lo), hi).
struct Activation {
  Bound lo, hi;
};

// The integers that x / scale is rounded to, as the arguments of an op tell of them. `clipped`: the
// ends of the grid stop the gradient.
struct Integers {
  const at::Tensor &zero_point, &bit_width;
  bool is_signed, is_narrow, clipped;
};

// What a scale is made of: max(|stored|, smallest) / int_range.
struct Threshold {
  const at::Tensor& stored;
  double smallest;
  const at::Tensor& int_range;
};

// The public ops: dtypes brought together, then forward and backward below as one autograd function.
at::Tensor int_fake_quantize(
    const at::Tensor& x, const at::Tensor& scale, const Integers& integers,
    const Activation& activation);
std::tuple<at::Tensor, at::Tensor> threshold_int_fake_quantize(
    const at::Tensor& x, const Threshold& threshold, const Integers& integers,
    const Activation& activation);
std::tuple<at::Tensor, at::Tensor> maximum_int_fake_quantize(
    const at::Tensor& x, int64_t rows, at::IntArrayRef shape, double smallest,
    const at::Tensor& int_range, const Integers& integers);
at::Tensor binary_fake_quantize(
    const at::Tensor& x, const at::Tensor& scale, bool clipped, const Activation& activation);
at::Tensor ternary_fake_quantize(
    const at::Tensor& x, const at::Tensor& scale, double threshold, const Activation& activation);

// The gradient of a quantizer's result. `is_ours`: nobody else has a use for its memory.
struct Incoming {
  const at::Tensor& gradient;
  bool is_ours = false;
};

// The gradient of x and sums [k, *parameters], where *parameters is the broadcast shape of the
// parameters: row 0 is the gradient of the scale; where all_sums, rows 1 and 2 are the incoming
// gradients that the lower and the upper end of the grid stopped.
using Gradients = std::tuple<at::Tensor, at::Tensor>;

// Forward and backward without autograd, in three ways. Scale and zero point are of the dtype that is
// computed in, and so are the sums; x, what it becomes, and their gradients are of one dtype, not wider.
enum class Way {
  kFused,       // kernels of one pass, on a CPU; the gradient of x goes over an incoming one of ours
  kComposed,    // ATen ops, on every device; on a CPU for parameters not along one run of dimensions
  kDispatched,  // one of the two, by the device: an op of its own (registration.cpp)
};

template <Way>
struct Quantizers {
  static at::Tensor int_forward(
      const at::Tensor& x, const at::Tensor& scale, const Integers& integers,
      const Activation& activation);
  static Gradients int_backward(
      const Incoming& grad, const at::Tensor& x, const at::Tensor& scale, const Integers& integers,
      const Activation& activation, bool all_sums);
  static at::Tensor binary_forward(
      const at::Tensor& x, const at::Tensor& scale, const Activation& activation);
  static Gradients binary_backward(
      const Incoming& grad, const at::Tensor& x, const at::Tensor& scale, bool clipped,
      const Activation& activation);
  static at::Tensor ternary_forward(
      const at::Tensor& x, const at::Tensor& scale, double threshold, const Activation& activation);
  static Gradients ternary_backward(
      const Incoming& grad, const at::Tensor& x, const at::Tensor& scale, double threshold,
      const Activation& activation);
};

using Fused = Quantizers<Way::kFused>;
using Composed = Quantizers<Way::kComposed>;
using Dispatched = Quantizers<Way::kDispatched>;

}  // namespace qat
