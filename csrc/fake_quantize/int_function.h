// The autograd functions of the integer quantizer: by a scale, a stored threshold, the largest magnitude.
// Each saves its inputs and nothing else.
#pragma once

#include <ATen/ops/pow.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "function.h"
#include "maximum.h"
#include "scale.h"
#include "types.h"

namespace qat {

using at::Tensor;

// What an integer quantizer is told beside its tensors.
struct IntOptions {
  bool is_signed, is_narrow, clipped;
  Activation activation;

  IntOptions(const Integers& integers, const Activation& activation)
      : is_signed(integers.is_signed),
        is_narrow(integers.is_narrow),
        clipped(integers.clipped),
        activation(activation) {}

  explicit IntOptions(AutogradContext* ctx) : activation(saved_activation(ctx)) {
    const int64_t flags = ctx->saved_data["flags"].toInt();
    is_signed = (flags & 1) != 0, is_narrow = (flags & 2) != 0, clipped = (flags & 4) != 0;
  }

  void save(AutogradContext* ctx) const {
    ctx->saved_data["flags"] = (is_signed ? 1 : 0) | (is_narrow ? 2 : 0) | (clipped ? 4 : 0);
    qat::save(ctx, activation);
  }

  Integers with(const Tensor& zero_point, const Tensor& bit_width) const {
    return {zero_point, bit_width, is_signed, is_narrow, clipped};
  }
};

inline Tensor int_forward(
    const Tensor& x, const Tensor& scale, const Tensor& zero_point, const Tensor& bit_width,
    const IntOptions& options) {
  return Dispatched::int_forward(
      x, scale, options.with(zero_point, bit_width), options.activation);
}

struct IntGradients {
  Tensor x, scale, zero_point, bit_width;
};

// to_ends: whether zero point or bit width ask for their gradient.
inline IntGradients int_backward(
    const Tensor& grad, const Tensor& x, const Tensor& scale, const Tensor& zero_point,
    const Tensor& bit_width, const IntOptions& options, bool to_ends) {
  to_ends = to_ends && options.clipped;
  const Integers integers = options.with(zero_point, bit_width);
  const auto [to_x, sums] = differentiated(grad, x, [&](auto way, const Incoming& incoming) {
    return way.int_backward(incoming, x, scale, integers, options.activation, to_ends);
  });
  IntGradients gradients{to_x, summed_as(sums.select(0, 0), scale), {}, {}};
  if (to_ends) {
    const Tensor to_low = sums.select(0, 1).mul(scale), to_high = sums.select(0, 2).mul(scale);
    gradients.zero_point = summed_as(to_low.add(to_high).neg(), zero_point);
    const Tensor slope =
        at::pow(2, options.is_signed ? bit_width.sub(1) : bit_width).mul(std::log(2.0));
    const Tensor reach = options.is_signed ? to_high.sub(to_low) : to_high;
    gradients.bit_width = summed_as(reach, bit_width).mul(slope);
  }
  return gradients;
}

// x, scale, zero point, bit width at `places`.
inline Recipe int_recipe(AutogradContext* ctx, std::initializer_list<size_t> places) {
  return {saved_again(ctx, places), [options = IntOptions(ctx)](const variable_list& saved) {
            const Tensor& x = saved[0];
            return int_forward(x, scale_for(x, saved[1]), saved[2], saved[3], options);
          }};
}

struct IntFakeQuantize : Function<IntFakeQuantize> {
  static Recipe recipe(AutogradContext* ctx) {
    return int_recipe(ctx, {0, 1, 2, 3});
  }

  static Tensor forward(
      AutogradContext* ctx, const Tensor& x, const Tensor& scale, const Tensor& zero_point,
      const Tensor& bit_width, const IntOptions& options) {
    ctx->save_for_backward({x, scale, zero_point, bit_width});
    options.save(ctx);
    return int_forward(x, scale, zero_point, bit_width, options);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const bool to_ends = ctx->needs_input_grad(2) || ctx->needs_input_grad(3);
    const IntGradients to = int_backward(
        grads[0], saved[0], saved[1], saved[2], saved[3], IntOptions(ctx), to_ends);
    return {to.x, to.scale, to.zero_point, to.bit_width, Tensor()};
  }
};

struct ThresholdIntFakeQuantize : Function<ThresholdIntFakeQuantize> {
  static Recipe recipe(AutogradContext* ctx) {
    return int_recipe(ctx, {0, 5, 3, 4});
  }

  static variable_list forward(
      AutogradContext* ctx, const Tensor& x, const Tensor& stored, double smallest,
      const Tensor& int_range, const Tensor& zero_point, const Tensor& bit_width,
      const IntOptions& options) {
    const Tensor scale = scale_of({stored, smallest, int_range});
    ctx->save_for_backward({x, stored, int_range, zero_point, bit_width, scale});
    ctx->saved_data["smallest"] = smallest;
    ctx->set_materialize_grads(false);
    options.save(ctx);
    return {int_forward(x, scale_for(x, scale), zero_point, bit_width, options), scale};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &stored = saved[1], &int_range = saved[2], &scale = saved[5];
    variable_list to_inputs(7);  // one per argument; needs_input_grad counts tensors only
    Tensor to_scale = grads[1];
    if (grads[0].defined()) {
      const bool to_ends = ctx->needs_input_grad(3) || ctx->needs_input_grad(4);
      const IntGradients to = int_backward(
          grads[0], x, scale_for(x, scale), saved[3], saved[4], IntOptions(ctx), to_ends);
      to_inputs[0] = to.x;
      to_inputs[4] = to.zero_point;
      to_inputs[5] = to.bit_width;
      const Tensor summed = as_dtype(to.scale, scale.scalar_type());
      to_scale = to_scale.defined() ? to_scale.add(summed) : summed;
    }
    if (to_scale.defined() && ctx->needs_input_grad(1)) {
      to_inputs[1] = to_stored(to_scale, stored, int_range);
    }
    if (to_scale.defined() && ctx->needs_input_grad(2)) {
      const Tensor threshold = stored.abs().clamp_min(ctx->saved_data["smallest"].toDouble());
      to_inputs[3] =
          summed_as(to_scale.div(int_range).neg().mul(threshold.div(int_range)), int_range);
    }
    return to_inputs;
  }
};

// x is what the kernels of maximum.h take.
struct MaximumIntFakeQuantize : Function<MaximumIntFakeQuantize> {
  static Recipe recipe(AutogradContext* ctx) {
    return int_recipe(ctx, {0, 5, 3, 4});
  }

  static variable_list forward(
      AutogradContext* ctx, const Tensor& x, int64_t rows, at::IntArrayRef shape, double smallest,
      const Tensor& int_range, const Tensor& zero_point, const Tensor& bit_width,
      const IntOptions& options) {
    const Tensor stored = maximum(x, rows).reshape(shape);
    const Tensor scale = scale_of({stored, smallest, int_range});
    ctx->save_for_backward({x, stored, int_range, zero_point, bit_width, scale});
    ctx->saved_data["rows"] = rows;
    ctx->set_materialize_grads(false);
    options.save(ctx);
    return {int_forward(x, scale, zero_point, bit_width, options), scale};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &stored = saved[1], &int_range = saved[2], &scale = saved[5];
    variable_list to_inputs(8);
    Tensor to_scale = grads[1], to_x;
    if (grads[0].defined()) {
      const IntGradients to = int_backward(
          grads[0], x, scale, saved[3], saved[4], IntOptions(ctx), false);
      to_x = to.x.contiguous();
      to_scale = to_scale.defined() ? to_scale.add(to.scale) : to.scale;
    } else {
      to_x = at::zeros_like(x);
    }
    if (to_scale.defined()) {
      add_maximum_gradient(
          to_x, x, ctx->saved_data["rows"].toInt(), to_stored(to_scale, stored, int_range));
    }
    to_inputs[0] = to_x;
    return to_inputs;
  }
};

}  // namespace qat
