// The public fused quantizers: one autograd function each, which saves its inputs and nothing else.

#include "fake_quantize.h"

#include <ATen/Dispatch.h>
#include <ATen/TensorSubclassLikeUtils.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/floor.h>
#include <ATen/ops/max.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/result_type.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "layout.h"
#include "maximum.h"
#include "recompute.h"
#include "ste.h"

namespace qat {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

// What a quantizer computes in, the wider type of tensor and scale, and what it gives: the type of
// x * scale. core/qat/ops/dtypes.py.
struct Types {
  at::ScalarType number, result;
};

Types types_of(const Tensor& x, at::ScalarType scale, int64_t scale_dims) {
  const auto own = x.scalar_type(), number = at::promote_types(own, scale);
  const bool count_alike = (x.dim() == 0) == (scale_dims == 0) || !at::isFloatingType(own);
  return {number, count_alike ? number : (x.dim() == 0 ? scale : own)};
}

Types types_of(const Tensor& x, const Tensor& scale) {
  return types_of(x, scale.scalar_type(), scale.dim());
}

// x as the kernels take it: in the type of the result, or in what is computed in.
Tensor operand(const Tensor& x, const Types& types) {
  return x.scalar_type() == types.result ? x : as_dtype(x, types.number);
}

// The bound of an activation function in front of x, which is a number of the type of x.
Bound bound_for(const Tensor& x, Bound bound) {
  if (bound && at::isFloatingType(x.scalar_type())) {
    AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "qat_bound", [&] {
      bound = static_cast<double>(static_cast<scalar_t>(*bound));
    });
  }
  return bound;
}

// A scale that was found in a type of its own, in what is computed in.
Tensor scale_for(const Tensor& x, const Tensor& scale) {
  return as_dtype(scale, at::promote_types(x.scalar_type(), scale.scalar_type()));
}

// The op `name`, called through the dispatcher, which knows the device.
template <typename Signature>
auto op(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

// Whether nobody but the caller has a use for the memory of `gradient`.
bool is_only_ours(const Tensor& gradient) {
  return gradient.use_count() == 1 && gradient.has_storage() &&
      gradient.storage().use_count() == 1 && gradient.is_non_overlapping_and_dense();
}

// A backward of fake_quantize.h. On a CPU the gradient of x is written over the incoming one where that
// is at its end: a third less memory to go through.
template <auto kComposed, auto kInto, typename... Rest>
Gradients differentiated(
    const char* name, const Tensor& grad, const Tensor& x, const Rest&... rest) {
  static const auto call = op<std::remove_pointer_t<decltype(kComposed)>>(name);
  if (at::GradMode::is_enabled()) {  // differentiated once more, the steps have to be seen
    return kComposed(grad, x, rest...);
  }
  if (x.is_cpu() && is_only_ours(grad) && !at::areAnyTensorSubclassLike({grad, x})) {
    return kInto(grad, grad, x, rest...);
  }
  return call.call(grad, x, rest...);
}

// What an integer quantizer is told beside its tensors.
struct IntOptions {
  bool is_signed, narrow_range, clipped;
  Bound lo, hi;

  void save(AutogradContext* ctx) const {
    ctx->saved_data["flags"] = (is_signed ? 1 : 0) | (narrow_range ? 2 : 0) | (clipped ? 4 : 0);
    ctx->saved_data["lo"] = lo;
    ctx->saved_data["hi"] = hi;
  }

  static IntOptions saved(AutogradContext* ctx) {
    const int64_t flags = ctx->saved_data["flags"].toInt();
    return {
        (flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0,
        ctx->saved_data["lo"].toOptional<double>(), ctx->saved_data["hi"].toOptional<double>()};
  }
};

Tensor int_forward(
    const Tensor& x, const Tensor& scale, const Tensor& zero_point, const Tensor& bit_width,
    const IntOptions& options) {
  static const auto call = op<decltype(fused::int_forward)>("qat::int_fake_quantize_forward");
  return call.call(
      x, scale, zero_point, bit_width, options.is_signed, options.narrow_range, options.lo,
      options.hi);
}

// Summed to the shape of `like`; torch would sum a single number as well.
Tensor summed_as(const Tensor& x, const Tensor& like) {
  return x.dim() == 0 && like.dim() == 0 ? x : x.sum_to_size_symint(like.sym_sizes());
}

struct IntGradients {
  Tensor x, scale, zero_point, bit_width;
};

// to_ends: whether zero point or bit width ask for their gradient.
IntGradients int_backward(
    const Tensor& grad, const Tensor& x, const Tensor& scale, const Tensor& zero_point,
    const Tensor& bit_width, const IntOptions& options, bool to_ends) {
  to_ends = to_ends && options.clipped;
  const auto [to_x, sums] = differentiated<composed::int_backward, fused::int_backward_into>(
      "qat::int_fake_quantize_backward", grad, x, scale, zero_point, bit_width, options.is_signed,
      options.narrow_range, options.clipped, options.lo, options.hi, to_ends);
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

// Tensors at `places` among those that an op saved, to be looked at again later.
std::vector<SavedVariable> saved_again(AutogradContext* ctx, std::initializer_list<size_t> places) {
  const variable_list saved = ctx->get_saved_variables();
  std::vector<SavedVariable> tensors;
  tensors.reserve(places.size());
  for (const size_t place : places) {
    tensors.emplace_back(saved[place].detach(), /*is_output=*/false);
  }
  return tensors;
}

// x, scale, zero point, bit width at `places`.
Recipe int_recipe(AutogradContext* ctx, std::initializer_list<size_t> places) {
  return {saved_again(ctx, places), [options = IntOptions::saved(ctx)](const variable_list& saved) {
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
        grads[0], saved[0], saved[1], saved[2], saved[3], IntOptions::saved(ctx), to_ends);
    return {to.x, to.scale, to.zero_point, to.bit_width, Tensor()};
  }
};

// The scale of a stored threshold, and the gradient of what is stored. A scale has few elements: on a
// CPU a loop over them costs less than the dispatch of four ops.
bool is_looped(const Tensor& stored, const Tensor& int_range) {
  return !at::areAnyTensorSubclassLike({stored, int_range}) && stored.is_cpu() &&
      stored.is_contiguous() && int_range.numel() == 1 &&
      int_range.is_cpu() && int_range.scalar_type() == stored.scalar_type();
}

Tensor scale_of(const Tensor& stored, double smallest, const Tensor& int_range) {
  const double floor = smallest_normal(stored.scalar_type());
  if (!is_looped(stored, int_range)) {
    return at::abs(stored).clamp_min_(smallest).div(int_range).clamp_min_(floor);
  }
  Tensor scale = at::empty_like(stored);
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, stored.scalar_type(), "qat_scale", [&] {
        const scalar_t* from = stored.const_data_ptr<scalar_t>();
        scalar_t* to = scale.mutable_data_ptr<scalar_t>();
        const scalar_t range = *int_range.const_data_ptr<scalar_t>();
        const scalar_t low = static_cast<scalar_t>(smallest), least = static_cast<scalar_t>(floor);
        for (int64_t i = 0; i < stored.numel(); ++i) {
          const scalar_t size = from[i] < scalar_t(0) ? -from[i] : from[i];
          const scalar_t ratio = (size < low ? low : size) / range;
          to[i] = ratio < least ? least : ratio;
        }
      });
  return scale;
}

Tensor to_stored(const Tensor& to_scale, const Tensor& stored, const Tensor& int_range) {
  if (!is_looped(stored, int_range) || !to_scale.is_contiguous() ||
      to_scale.scalar_type() != stored.scalar_type() || at::GradMode::is_enabled()) {
    const Tensor side = at::rsub(at::floor(at::clamp(stored, -1.0, 0.0)), 1, -2);
    return summed_as(to_scale.div(int_range), stored).mul(side);
  }
  Tensor gradient = at::empty_like(stored);
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, stored.scalar_type(), "qat_scale_backward", [&] {
        const scalar_t* from = stored.const_data_ptr<scalar_t>();
        const scalar_t* g = to_scale.const_data_ptr<scalar_t>();
        scalar_t* to = gradient.mutable_data_ptr<scalar_t>();
        const scalar_t range = *int_range.const_data_ptr<scalar_t>();
        for (int64_t i = 0; i < stored.numel(); ++i) {
          const scalar_t quotient = g[i] / range;
          const scalar_t positive = from[i] >= scalar_t(0) ? quotient : from[i];  // NaN stays
          to[i] = from[i] < scalar_t(0) ? -quotient : positive;
        }
      });
  return gradient;
}

struct ThresholdIntFakeQuantize : Function<ThresholdIntFakeQuantize> {
  static Recipe recipe(AutogradContext* ctx) {
    return int_recipe(ctx, {0, 5, 3, 4});
  }

  static variable_list forward(
      AutogradContext* ctx, const Tensor& x, const Tensor& stored, double smallest,
      const Tensor& int_range, const Tensor& zero_point, const Tensor& bit_width,
      const IntOptions& options) {
    const Tensor scale = scale_of(stored, smallest, int_range);
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
          grads[0], x, scale_for(x, scale), saved[3], saved[4], IntOptions::saved(ctx), to_ends);
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
      const Tensor threshold = at::abs(stored).clamp_min(ctx->saved_data["smallest"].toDouble());
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
    const Tensor scale = scale_of(stored, smallest, int_range);
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
          grads[0], x, scale, saved[3], saved[4], IntOptions::saved(ctx), false);
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

Tensor binary_forward(const Tensor& x, const Tensor& scale, Bound lo, Bound hi) {
  static const auto call = op<decltype(fused::binary_forward)>("qat::binary_fake_quantize_forward");
  return call.call(x, scale, lo, hi);
}

struct BinaryFakeQuantize : Function<BinaryFakeQuantize> {
  static Recipe recipe(AutogradContext* ctx) {
    const Bound lo = ctx->saved_data["lo"].toOptional<double>();
    const Bound hi = ctx->saved_data["hi"].toOptional<double>();
    return {saved_again(ctx, {0, 1}), [lo, hi](const variable_list& saved) {
              return binary_forward(saved[0], saved[1], lo, hi);
            }};
  }

  static Tensor forward(
      AutogradContext* ctx, const Tensor& x, const Tensor& scale, bool clipped, Bound lo,
      Bound hi) {
    ctx->save_for_backward({x, scale});
    ctx->saved_data["clipped"] = clipped;
    ctx->saved_data["lo"] = lo;
    ctx->saved_data["hi"] = hi;
    return binary_forward(x, scale, lo, hi);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const bool clipped = ctx->saved_data["clipped"].toBool();
    const Bound lo = ctx->saved_data["lo"].toOptional<double>();
    const Bound hi = ctx->saved_data["hi"].toOptional<double>();
    const auto [to_x, sums] = differentiated<composed::binary_backward, fused::binary_backward_into>(
        "qat::binary_fake_quantize_backward", grads[0], saved[0], saved[1], clipped, lo, hi);
    return {to_x, sums.select(0, 0), Tensor(), Tensor(), Tensor()};
  }
};

Tensor ternary_forward(
    const Tensor& x, const Tensor& scale, double threshold, Bound lo, Bound hi) {
  static const auto call =
      op<decltype(fused::ternary_forward)>("qat::ternary_fake_quantize_forward");
  return call.call(x, scale, threshold, lo, hi);
}

struct TernaryFakeQuantize : Function<TernaryFakeQuantize> {
  static Recipe recipe(AutogradContext* ctx) {
    const double threshold = ctx->saved_data["threshold"].toDouble();
    const Bound lo = ctx->saved_data["lo"].toOptional<double>();
    const Bound hi = ctx->saved_data["hi"].toOptional<double>();
    return {saved_again(ctx, {0, 1}), [threshold, lo, hi](const variable_list& saved) {
              return ternary_forward(saved[0], saved[1], threshold, lo, hi);
            }};
  }

  static Tensor forward(
      AutogradContext* ctx, const Tensor& x, const Tensor& scale, double threshold, Bound lo,
      Bound hi) {
    ctx->save_for_backward({x, scale});
    ctx->saved_data["threshold"] = threshold;
    ctx->saved_data["lo"] = lo;
    ctx->saved_data["hi"] = hi;
    return ternary_forward(x, scale, threshold, lo, hi);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const double threshold = ctx->saved_data["threshold"].toDouble();
    const Bound lo = ctx->saved_data["lo"].toOptional<double>();
    const Bound hi = ctx->saved_data["hi"].toOptional<double>();
    const auto [to_x, sums] =
        differentiated<composed::ternary_backward, fused::ternary_backward_into>(
            "qat::ternary_fake_quantize_backward", grads[0], saved[0], saved[1], threshold, lo, hi);
    return {to_x, sums.select(0, 0), Tensor(), Tensor(), Tensor()};
  }
};

// The recipe of the result of `node` if it is of one of the Ops.
template <typename... Ops>
std::optional<Recipe> recipe_of_node(torch::autograd::Node* node) {
  std::optional<Recipe> recipe;
  const auto matches = [&](auto* made_by, auto make) {
    if (made_by != nullptr) {
      recipe = make(&made_by->ctx_);
    }
    return made_by != nullptr;
  };
  (matches(dynamic_cast<torch::autograd::CppNode<Ops>*>(node), &Ops::recipe) || ...);
  return recipe;
}

}  // namespace

std::optional<Recipe> recipe_of(const Tensor& y) {
  if (y.output_nr() != 0) {
    return std::nullopt;
  }
  return recipe_of_node<
      ThresholdIntFakeQuantize, IntFakeQuantize, MaximumIntFakeQuantize, BinaryFakeQuantize,
      TernaryFakeQuantize>(y.grad_fn().get());
}

Tensor int_fake_quantize(
    const Tensor& x, const Tensor& scale, const Tensor& zero_point, const Tensor& bit_width,
    bool is_signed, bool narrow_range, bool clipped, Bound lo, Bound hi) {
  const Types types = types_of(x, scale);
  const Tensor y = IntFakeQuantize::apply(
      operand(x, types), as_dtype(scale, types.number), as_dtype(zero_point, types.number),
      bit_width,
      IntOptions{is_signed, narrow_range, clipped, bound_for(x, lo), bound_for(x, hi)});
  return as_dtype(y, types.result);
}

std::tuple<Tensor, Tensor> threshold_int_fake_quantize(
    const Tensor& x, const Tensor& stored, double smallest, const Tensor& int_range,
    const Tensor& zero_point, const Tensor& bit_width, bool is_signed, bool narrow_range,
    bool clipped, Bound lo, Bound hi) {
  const Types types = types_of(x, at::result_type(stored, int_range), stored.dim());
  const variable_list results = ThresholdIntFakeQuantize::apply(
      operand(x, types), stored, smallest, int_range, as_dtype(zero_point, types.number), bit_width,
      IntOptions{is_signed, narrow_range, clipped, bound_for(x, lo), bound_for(x, hi)});
  return {as_dtype(results[0], types.result), results[1]};
}

std::tuple<Tensor, Tensor> maximum_int_fake_quantize(
    const Tensor& x, int64_t rows, at::IntArrayRef shape, double smallest, const Tensor& int_range,
    const Tensor& zero_point, const Tensor& bit_width, bool is_signed, bool narrow_range,
    bool clipped) {
  const bool others_learn = int_range.requires_grad() || bit_width.requires_grad() ||
      zero_point.requires_grad() || zero_point.scalar_type() != x.scalar_type();
  if (others_learn || !has_maximum_kernel(x)) {
    const Tensor size = at::abs(x);
    const Tensor largest =
        rows == 0 ? at::max(size) : std::get<0>(at::max(size.reshape({rows, -1}), 1));
    return threshold_int_fake_quantize(
        x, largest.reshape(shape), smallest, int_range, zero_point, bit_width, is_signed,
        narrow_range, clipped, std::nullopt, std::nullopt);
  }
  const variable_list results = MaximumIntFakeQuantize::apply(
      x, rows, shape, smallest, int_range, zero_point, bit_width,
      IntOptions{is_signed, narrow_range, clipped, std::nullopt, std::nullopt});
  return {results[0], results[1]};
}

Tensor binary_fake_quantize(
    const Tensor& x, const Tensor& scale, bool clipped, Bound lo, Bound hi) {
  const Types types = types_of(x, scale);
  const Tensor y = BinaryFakeQuantize::apply(
      operand(x, types), as_dtype(scale, types.number), clipped, bound_for(x, lo),
      bound_for(x, hi));
  return as_dtype(y, types.result);
}

Tensor ternary_fake_quantize(
    const Tensor& x, const Tensor& scale, double threshold, Bound lo, Bound hi) {
  const Types types = types_of(x, scale);
  const Tensor y = TernaryFakeQuantize::apply(
      operand(x, types), as_dtype(scale, types.number), threshold, bound_for(x, lo),
      bound_for(x, hi));
  return as_dtype(y, types.result);
}

}  // namespace qat
