// Quantizing again in the backward pass in place of keeping what was quantized; why and when is in
// core/qat/ops/recompute.py.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <functional>
#include <optional>
#include <vector>

namespace qat {

// How a quantized tensor was made. The tensors know whether they were changed in place since.
struct Recipe {
  std::vector<torch::autograd::SavedVariable> tensors;
  std::function<at::Tensor(const std::vector<at::Tensor>&)> quantize;
};

// The recipe of y if a fused quantizer made it (fake_quantize/public.cpp).
std::optional<Recipe> recipe_of(const at::Tensor& y);

// Lets the convolution or matrix product whose result `out` is keep the recipe of y, its input, for
// its backward pass, and y no longer. Does nothing where it keeps another tensor, where y was changed
// in place, or where other hooks see what is kept.
void keep_recipe(const at::Tensor& out, const at::Tensor& y);

}  // namespace qat
