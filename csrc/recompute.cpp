// Quantizing again in the backward pass.

#include "recompute.h"

#include <ATen/SavedTensorHooks.h>
#include <ATen/TensorSubclassLikeUtils.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/generated/Functions.h>
#include <torch/csrc/autograd/saved_variable_hooks.h>

namespace qat {
namespace {

using at::Tensor;
using torch::autograd::Node;
using torch::autograd::SavedVariable;

class QuantizedAgain : public torch::autograd::SavedVariableHooks {
 public:
  QuantizedAgain(Recipe recipe, std::vector<int64_t> shape)
      : recipe_(std::move(recipe)), shape_(std::move(shape)) {}

  void call_pack_hook(const Tensor&) override {}

  Tensor call_unpack_hook() override {
    const at::NoGradGuard no_grad;
    std::vector<Tensor> tensors;
    tensors.reserve(recipe_.tensors.size());
    for (const SavedVariable& tensor : recipe_.tensors) {
      tensors.push_back(tensor.unpack());
    }
    const Tensor y = recipe_.quantize(tensors);
    return y.sizes() == at::IntArrayRef(shape_) ? y : y.view(shape_);
  }

 private:
  Recipe recipe_;
  std::vector<int64_t> shape_;
};

// What `node` keeps of its first factor; none where it is no product.
SavedVariable* kept_input(Node* node) {
  using namespace torch::autograd::generated;
  if (auto* convolution = dynamic_cast<ConvolutionBackward0*>(node)) {
    return &convolution->input_;
  }
  if (auto* product = dynamic_cast<AddmmBackward0*>(node)) {
    return &product->mat1_;
  }
  if (auto* product = dynamic_cast<MmBackward0*>(node)) {
    return &product->self_;
  }
  const bool is_view = dynamic_cast<ViewBackward0*>(node) != nullptr ||
      dynamic_cast<UnsafeViewBackward0*>(node) != nullptr;  // a linear layer on more dimensions
  return is_view ? kept_input(node->next_edge(0).function.get()) : nullptr;
}

bool is_same_memory(const Tensor& a, const Tensor& b) {
  return a.defined() && a.data_ptr() == b.data_ptr() &&
      (a.sizes() == b.sizes() ? a.strides() == b.strides()
                              : a.numel() == b.numel() && a.is_contiguous() && b.is_contiguous());
}

}  // namespace

void keep_recipe(const Tensor& out, const Tensor& y) {
  if (!y.is_cpu() || y._version() != 0 || at::areAnyTensorSubclassLike({out, y}) ||
      at::SavedTensorDefaultHooks::get_hooks()) {
    return;
  }
  SavedVariable* const kept = kept_input(out.grad_fn().get());
  if (kept == nullptr || kept->has_hooks()) {
    return;
  }
  const Tensor input = kept->unpack();
  if (!is_same_memory(input, y)) {
    return;
  }
  if (auto recipe = recipe_of(y)) {
    kept->register_hooks(
        std::make_unique<QuantizedAgain>(std::move(*recipe), input.sizes().vec()));
  }
}

}  // namespace qat
