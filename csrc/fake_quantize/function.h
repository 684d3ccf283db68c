// Parts that the autograd functions of the fused quantizers share.
#pragma once

#include <ATen/TensorSubclassLikeUtils.h>
#include <torch/csrc/autograd/custom_function.h>

#include <initializer_list>
#include <optional>
#include <vector>

#include "../recompute.h"
#include "quantizers.h"

namespace qat {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

// Summed to the shape of `like`; torch would sum a single number as well.
inline at::Tensor summed_as(const at::Tensor& x, const at::Tensor& like) {
  return x.dim() == 0 && like.dim() == 0 ? x : x.sum_to_size_symint(like.sym_sizes());
}

// Whether nobody but the caller has a use for the memory of `gradient`.
inline bool is_only_ours(const at::Tensor& gradient) {
  return gradient.use_count() == 1 && gradient.has_storage() &&
      gradient.storage().use_count() == 1 && gradient.is_non_overlapping_and_dense();
}

// A backward of quantizers.h: backward(one of its Quantizers, incoming gradient). On a CPU the gradient
// of x is written over the incoming one where that is at its end: a third less memory to go through.
template <typename Backward>
Gradients differentiated(
    const at::Tensor& grad, const at::Tensor& x, const Backward& backward) {
  if (at::GradMode::is_enabled()) {  // differentiated once more, the steps have to be seen
    return backward(Composed(), Incoming{grad});
  }
  if (x.is_cpu() && is_only_ours(grad) && !at::areAnyTensorSubclassLike({grad, x})) {
    return backward(Fused(), Incoming{grad, true});
  }
  return backward(Dispatched(), Incoming{grad});
}

// Tensors at `places` among those that an op saved, to be looked at again later.
inline std::vector<SavedVariable> saved_again(
    AutogradContext* ctx, std::initializer_list<size_t> places) {
  const variable_list saved = ctx->get_saved_variables();
  std::vector<SavedVariable> tensors;
  tensors.reserve(places.size());
  for (const size_t place : places) {
    tensors.emplace_back(saved[place].detach(), /*is_output=*/false);
  }
  return tensors;
}

inline void save(AutogradContext* ctx, const Activation& activation) {
  ctx->saved_data["lo"] = activation.lo;
  ctx->saved_data["hi"] = activation.hi;
}

inline Activation saved_activation(AutogradContext* ctx) {
  return {
      ctx->saved_data["lo"].toOptional<double>(), ctx->saved_data["hi"].toOptional<double>()};
}

// The recipe of y if one of the Functions made it.
template <typename... Functions>
std::optional<Recipe> recipe_by(const at::Tensor& y) {
  std::optional<Recipe> recipe;
  torch::autograd::Node* const node = y.grad_fn().get();
  const auto matches = [&](auto* made_by, auto make) {
    if (made_by != nullptr) {
      recipe = make(&made_by->ctx_);
    }
    return made_by != nullptr;
  };
  (matches(dynamic_cast<torch::autograd::CppNode<Functions>*>(node), &Functions::recipe) || ...);
  return recipe;
}

}  // namespace qat
