// Straight-through estimator (STE) ops; core/qat/ops/ste.py documents their values and gradients.
#pragma once

#include <ATen/core/Tensor.h>

namespace qat {

at::Tensor round_ste(const at::Tensor& x);
at::Tensor ceil_ste(const at::Tensor& x);
at::Tensor floor_ste(const at::Tensor& x);
at::Tensor round_to_zero_ste(const at::Tensor& x);
at::Tensor dpu_round_ste(const at::Tensor& x);
at::Tensor binary_sign_ste(const at::Tensor& x);
at::Tensor ternary_sign_ste(const at::Tensor& x);
at::Tensor scalar_clamp_ste(const at::Tensor& x, double lo, double hi);
at::Tensor scalar_clamp_min_ste(const at::Tensor& x, double lo);
at::Tensor tensor_clamp(const at::Tensor& x, const at::Tensor& lo, const at::Tensor& hi);
at::Tensor tensor_clamp_ste(const at::Tensor& x, const at::Tensor& lo, const at::Tensor& hi);
at::Tensor& tensor_clamp_ste_(at::Tensor& x, const at::Tensor& lo, const at::Tensor& hi);
at::Tensor abs_binary_sign_grad(const at::Tensor& x);
at::Tensor positive_ste(const at::Tensor& x, double lo);
at::Tensor scale_from_threshold(const at::Tensor& threshold, const at::Tensor& int_range);

}  // namespace qat
