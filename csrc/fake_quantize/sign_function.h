// The autograd functions of the quantizers by sign, binary and ternary. Each saves its inputs and
// nothing else.
#pragma once

#include "function.h"

namespace qat {

using at::Tensor;

struct BinaryFakeQuantize : Function<BinaryFakeQuantize> {
  static Recipe recipe(AutogradContext* ctx) {
    return {
        saved_again(ctx, {0, 1}),
        [activation = saved_activation(ctx)](const variable_list& saved) {
          return Dispatched::binary_forward(saved[0], saved[1], activation);
        }};
  }

  static Tensor forward(
      AutogradContext* ctx, const Tensor& x, const Tensor& scale, bool clipped,
      const Activation& activation) {
    ctx->save_for_backward({x, scale});
    ctx->saved_data["clipped"] = clipped;
    save(ctx, activation);
    return Dispatched::binary_forward(x, scale, activation);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const bool clipped = ctx->saved_data["clipped"].toBool();
    const Activation activation = saved_activation(ctx);
    const auto [to_x, sums] =
        differentiated(grads[0], saved[0], [&](auto way, const Incoming& incoming) {
          return way.binary_backward(incoming, saved[0], saved[1], clipped, activation);
        });
    return {to_x, sums.select(0, 0), Tensor(), Tensor()};
  }
};

struct TernaryFakeQuantize : Function<TernaryFakeQuantize> {
  static Recipe recipe(AutogradContext* ctx) {
    return {
        saved_again(ctx, {0, 1}),
        [threshold = ctx->saved_data["threshold"].toDouble(),
         activation = saved_activation(ctx)](const variable_list& saved) {
          return Dispatched::ternary_forward(saved[0], saved[1], threshold, activation);
        }};
  }

  static Tensor forward(
      AutogradContext* ctx, const Tensor& x, const Tensor& scale, double threshold,
      const Activation& activation) {
    ctx->save_for_backward({x, scale});
    ctx->saved_data["threshold"] = threshold;
    save(ctx, activation);
    return Dispatched::ternary_forward(x, scale, threshold, activation);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const double threshold = ctx->saved_data["threshold"].toDouble();
    const Activation activation = saved_activation(ctx);
    const auto [to_x, sums] =
        differentiated(grads[0], saved[0], [&](auto way, const Incoming& incoming) {
          return way.ternary_backward(incoming, saved[0], saved[1], threshold, activation);
        });
    return {to_x, sums.select(0, 0), Tensor(), Tensor()};
  }
};

}  // namespace qat
