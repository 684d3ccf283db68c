// STE ops as autograd functions over ATen ops. The same ATen calls, in the same order, as the Python
// reference (core/qat/ops/reference/ste.py, values.py), so that both give the same bits.

#include "ste.h"

#include <ATen/ops/where.h>
#include <torch/csrc/autograd/custom_function.h>

#include "values.h"

namespace qat {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

Tensor dpu_round(const Tensor& x) {
  const Tensor is_negative_half = x.lt(0).logical_and(x.sub(x.floor()).eq(0.5));
  return at::where(is_negative_half, x.ceil(), x.round());
}

using Value = std::function<Tensor(const Tensor&)>;

// Hands the gradient of the output to the one input unchanged. One class for all of them, since each
// instance of Function takes long to compile.
// is_traceable: the backward is made of ATen ops only, so compiled autograd may look inside.
struct StraightThrough : Function<StraightThrough> {
  static constexpr bool is_traceable = true;

  static Tensor forward(AutogradContext*, const Tensor& x, const Value& value) {
    return value(x);
  }

  static variable_list backward(AutogradContext*, variable_list grads) {
    return {grads[0], Tensor()};
  }
};

Tensor straight_through(const Tensor& x, const Value& value) {
  return StraightThrough::apply(x, value);
}

struct TensorClamp : Function<TensorClamp> {
  static constexpr bool is_traceable = true;

  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& lo, const Tensor& hi) {
    ctx->save_for_backward({x, lo, hi});
    return x.clamp(lo, hi).to(x.scalar_type());
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &lo = saved[1], &hi = saved[2], &grad = grads[0];
    const Tensor below = x.lt(lo), above = x.gt(hi);
    variable_list to_inputs(3);
    if (ctx->needs_input_grad(0)) {
      to_inputs[0] = at::where(x.ge(lo).logical_and(x.le(hi)), grad, 0.0);
    }
    if (ctx->needs_input_grad(1)) {
      to_inputs[1] = at::where(below, grad, 0.0).sum_to_size_symint(lo.sym_sizes());
    }
    if (ctx->needs_input_grad(2)) {
      to_inputs[2] = at::where(above, grad, 0.0).sum_to_size_symint(hi.sym_sizes());
    }
    return to_inputs;
  }
};

struct TensorClampSte : Function<TensorClampSte> {
  static constexpr bool is_traceable = true;

  static Tensor forward(AutogradContext*, const Tensor& x, const Tensor& lo, const Tensor& hi) {
    return x.clamp(lo, hi).to(x.scalar_type());
  }

  static variable_list backward(AutogradContext*, variable_list grads) {
    return {grads[0], Tensor(), Tensor()};
  }
};

// max(|x|, lo), whose gradient is that of |x| with sign(0) = 1.
struct Magnitude : Function<Magnitude> {
  static constexpr bool is_traceable = true;

  static Tensor forward(AutogradContext* ctx, const Tensor& x, std::optional<double> lo) {
    ctx->save_for_backward({x});
    return lo ? x.abs().clamp_min_(*lo) : x.abs();
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const Tensor x = ctx->get_saved_variables()[0];
    return {grads[0].mul(binary_sign(x)), Tensor()};
  }
};

struct ScaleFromThreshold : Function<ScaleFromThreshold> {
  static constexpr bool is_traceable = true;

  static Tensor forward(AutogradContext* ctx, const Tensor& threshold, const Tensor& int_range) {
    ctx->save_for_backward({threshold, int_range});
    return threshold.div(int_range).clamp_min_(smallest_normal(threshold.scalar_type()));
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &threshold = saved[0], &int_range = saved[1];
    const Tensor quotient = grads[0].div(int_range);
    variable_list to_inputs(2);
    if (ctx->needs_input_grad(0)) {
      to_inputs[0] = quotient.sum_to_size_symint(threshold.sym_sizes());
    }
    if (ctx->needs_input_grad(1)) {
      to_inputs[1] =
          quotient.neg().mul(threshold.div(int_range)).sum_to_size_symint(int_range.sym_sizes());
    }
    return to_inputs;
  }
};

}  // namespace

Tensor round_ste(const Tensor& x) {
  return straight_through(x, [](const Tensor& v) { return v.round(); });
}

Tensor ceil_ste(const Tensor& x) {
  return straight_through(x, [](const Tensor& v) { return v.ceil(); });
}

Tensor floor_ste(const Tensor& x) {
  return straight_through(x, [](const Tensor& v) { return v.floor(); });
}

Tensor round_to_zero_ste(const Tensor& x) {
  return straight_through(x, [](const Tensor& v) { return v.trunc(); });
}

Tensor dpu_round_ste(const Tensor& x) {
  return straight_through(x, dpu_round);
}

Tensor binary_sign_ste(const Tensor& x) {
  return straight_through(x, binary_sign);
}

Tensor ternary_sign_ste(const Tensor& x) {
  return straight_through(x, ternary_sign);
}

Tensor scalar_clamp_ste(const Tensor& x, double lo, double hi) {
  return straight_through(x, [lo, hi](const Tensor& v) { return v.clamp(lo, hi); });
}

Tensor scalar_clamp_min_ste(const Tensor& x, double lo) {
  return straight_through(x, [lo](const Tensor& v) { return v.clamp_min(lo); });
}

Tensor tensor_clamp(const Tensor& x, const Tensor& lo, const Tensor& hi) {
  return TensorClamp::apply(x, lo, hi);
}

Tensor tensor_clamp_ste(const Tensor& x, const Tensor& lo, const Tensor& hi) {
  return TensorClampSte::apply(x, lo, hi);
}

// The change goes through an alias that autograd does not follow, so the gradient of x stays the
// identity; the alias shares the version counter, so a stale saved tensor is still noticed.
Tensor& tensor_clamp_ste_(Tensor& x, const Tensor& lo, const Tensor& hi) {
  x.detach().clamp_(lo.detach(), hi.detach());
  return x;
}

Tensor abs_binary_sign_grad(const Tensor& x) {
  return Magnitude::apply(x, std::nullopt);
}

Tensor positive_ste(const Tensor& x, double lo) {
  return Magnitude::apply(x, lo);
}

Tensor scale_from_threshold(const Tensor& threshold, const Tensor& int_range) {
  return ScaleFromThreshold::apply(threshold, int_range);
}

}  // namespace qat
