// The scale of a stored threshold, and the gradient of what is stored.
//
// A scale has few elements: on a CPU a loop over them costs less than the dispatch of four ops.
#pragma once

#include <ATen/Dispatch.h>
#include <ATen/TensorSubclassLikeUtils.h>

#include "../layout.h"
#include "../values.h"
#include "function.h"

namespace qat {

inline bool is_looped(const at::Tensor& stored, const at::Tensor& int_range) {
  return !at::areAnyTensorSubclassLike({stored, int_range}) && stored.is_cpu() &&
      stored.is_contiguous() && int_range.numel() == 1 &&
      int_range.is_cpu() && int_range.scalar_type() == stored.scalar_type();
}

inline at::Tensor scale_of(const Threshold& threshold) {
  const auto& [stored, smallest, int_range] = threshold;
  const double floor = smallest_normal(stored.scalar_type());
  if (!is_looped(stored, int_range)) {
    return stored.abs().clamp_min_(smallest).div(int_range).clamp_min_(floor);
  }
  at::Tensor scale = uninitialized_like(stored);
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

// The gradient of `stored` for that of its scale.
inline at::Tensor to_stored(
    const at::Tensor& to_scale, const at::Tensor& stored, const at::Tensor& int_range) {
  if (!is_looped(stored, int_range) || !to_scale.is_contiguous() ||
      to_scale.scalar_type() != stored.scalar_type() || at::GradMode::is_enabled()) {
    return summed_as(to_scale.div(int_range), stored).mul(binary_sign(stored));
  }
  at::Tensor gradient = uninitialized_like(stored);
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

}  // namespace qat
