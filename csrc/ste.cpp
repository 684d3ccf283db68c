// STE ops as autograd functions over ATen ops. The same ATen calls, in the same order, as the Python
// reference (core/qat/ops/reference/ste.py, values.py), so that both give the same bits.

#include "ste.h"

// The headers of the ops in use; ATen/ATen.h doubles the compile time.
#include <ATen/ops/abs.h>
#include <ATen/ops/add.h>
#include <ATen/ops/ceil.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/floor.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/round.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/sign.h>
#include <ATen/ops/trunc.h>
#include <ATen/ops/where.h>
#include <torch/csrc/autograd/custom_function.h>

#include <limits>

namespace qat {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// 1 + 2 * floor(clamp(x, -1, 0)); see values.py for why this form.
Tensor binary_sign(const Tensor& x) {
  return at::rsub(at::floor(at::clamp(x, -1.0, 0.0)), 1, -2);
}

Tensor ternary_sign(const Tensor& x) {
  return at::add(at::sign(x), at::clamp(x, 0.0, 0.0));
}

Tensor dpu_round(const Tensor& x) {
  const Tensor is_negative_half = at::logical_and(x.lt(0), x.sub(at::floor(x)).eq(0.5));
  return at::where(is_negative_half, at::ceil(x), at::round(x));
}

// Hands the gradient of the output to the one input unchanged.
// is_traceable: the backward is made of ATen ops only, so compiled autograd may look inside.
template <typename Op>
struct StraightThrough : Function<Op> {
  static constexpr bool is_traceable = true;

  static variable_list backward(AutogradContext*, variable_list grads) {
    return grads;
  }
};

struct RoundSte : StraightThrough<RoundSte> {
  static Tensor forward(AutogradContext*, const Tensor& x) {
    return at::round(x);
  }
};

struct CeilSte : StraightThrough<CeilSte> {
  static Tensor forward(AutogradContext*, const Tensor& x) {
    return at::ceil(x);
  }
};

struct FloorSte : StraightThrough<FloorSte> {
  static Tensor forward(AutogradContext*, const Tensor& x) {
    return at::floor(x);
  }
};

struct RoundToZeroSte : StraightThrough<RoundToZeroSte> {
  static Tensor forward(AutogradContext*, const Tensor& x) {
    return at::trunc(x);
  }
};

struct DpuRoundSte : StraightThrough<DpuRoundSte> {
  static Tensor forward(AutogradContext*, const Tensor& x) {
    return dpu_round(x);
  }
};

struct BinarySignSte : StraightThrough<BinarySignSte> {
  static Tensor forward(AutogradContext*, const Tensor& x) {
    return binary_sign(x);
  }
};

struct TernarySignSte : StraightThrough<TernarySignSte> {
  static Tensor forward(AutogradContext*, const Tensor& x) {
    return ternary_sign(x);
  }
};

struct ScalarClampSte : Function<ScalarClampSte> {
  static constexpr bool is_traceable = true;

  static Tensor forward(AutogradContext*, const Tensor& x, double lo, double hi) {
    return at::clamp(x, lo, hi);
  }

  static variable_list backward(AutogradContext*, variable_list grads) {
    return {grads[0], Tensor(), Tensor()};
  }
};

struct ScalarClampMinSte : Function<ScalarClampMinSte> {
  static constexpr bool is_traceable = true;

  static Tensor forward(AutogradContext*, const Tensor& x, double lo) {
    return at::clamp_min(x, lo);
  }

  static variable_list backward(AutogradContext*, variable_list grads) {
    return {grads[0], Tensor()};
  }
};

struct TensorClamp : Function<TensorClamp> {
  static constexpr bool is_traceable = true;

  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& lo, const Tensor& hi) {
    ctx->save_for_backward({x, lo, hi});
    return at::clamp(x, lo, hi).to(x.scalar_type());
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &lo = saved[1], &hi = saved[2], &grad = grads[0];
    const Tensor below = x.lt(lo), above = x.gt(hi);
    variable_list to_inputs(3);
    if (ctx->needs_input_grad(0)) {
      to_inputs[0] = at::where(at::logical_and(x.ge(lo), x.le(hi)), grad, 0.0);
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
    return at::clamp(x, lo, hi).to(x.scalar_type());
  }

  static variable_list backward(AutogradContext*, variable_list grads) {
    return {grads[0], Tensor(), Tensor()};
  }
};

struct AbsBinarySignGrad : Function<AbsBinarySignGrad> {
  static constexpr bool is_traceable = true;

  static Tensor forward(AutogradContext* ctx, const Tensor& x) {
    ctx->save_for_backward({x});
    return at::abs(x);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const Tensor x = ctx->get_saved_variables()[0];
    return {grads[0].mul(binary_sign(x))};
  }
};

struct PositiveSte : Function<PositiveSte> {
  static constexpr bool is_traceable = true;

  static Tensor forward(AutogradContext* ctx, const Tensor& x, double lo) {
    ctx->save_for_backward({x});
    return at::abs(x).clamp_min_(lo);
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

double smallest_normal(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble:
      return std::numeric_limits<double>::min();
    case at::kHalf:
      return 6.103515625e-05;  // 2^-14
    default:
      return std::numeric_limits<float>::min();  // that of bfloat16 as well
  }
}

Tensor round_ste(const Tensor& x) {
  return RoundSte::apply(x);
}

Tensor ceil_ste(const Tensor& x) {
  return CeilSte::apply(x);
}

Tensor floor_ste(const Tensor& x) {
  return FloorSte::apply(x);
}

Tensor round_to_zero_ste(const Tensor& x) {
  return RoundToZeroSte::apply(x);
}

Tensor dpu_round_ste(const Tensor& x) {
  return DpuRoundSte::apply(x);
}

Tensor binary_sign_ste(const Tensor& x) {
  return BinarySignSte::apply(x);
}

Tensor ternary_sign_ste(const Tensor& x) {
  return TernarySignSte::apply(x);
}

Tensor scalar_clamp_ste(const Tensor& x, double lo, double hi) {
  return ScalarClampSte::apply(x, lo, hi);
}

Tensor scalar_clamp_min_ste(const Tensor& x, double lo) {
  return ScalarClampMinSte::apply(x, lo);
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
  return AbsBinarySignGrad::apply(x);
}

Tensor positive_ste(const Tensor& x, double lo) {
  return PositiveSte::apply(x, lo);
}

Tensor scale_from_threshold(const Tensor& threshold, const Tensor& int_range) {
  return ScaleFromThreshold::apply(threshold, int_range);
}

}  // namespace qat
