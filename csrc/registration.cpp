// The one registration block of the library: every op of csrc/ by schema.
//
// A definition with an implementation of its own registers a composite: the dispatcher runs it at every
// level (autograd, meta tensors, tracing), and each level sees the ATen ops inside. That is what makes
// the STE ops transparent to torch.compile and torch.export. An op that is a kernel of its own (no ATen
// inside) is defined here by schema alone, with TORCH_LIBRARY_IMPL blocks per dispatch key beside it.

#include <torch/library.h>

#include "ste.h"

TORCH_LIBRARY(qat, m) {
  m.def("round_ste(Tensor x) -> Tensor", qat::round_ste);
  m.def("ceil_ste(Tensor x) -> Tensor", qat::ceil_ste);
  m.def("floor_ste(Tensor x) -> Tensor", qat::floor_ste);
  m.def("round_to_zero_ste(Tensor x) -> Tensor", qat::round_to_zero_ste);
  m.def("dpu_round_ste(Tensor x) -> Tensor", qat::dpu_round_ste);
  m.def("binary_sign_ste(Tensor x) -> Tensor", qat::binary_sign_ste);
  m.def("ternary_sign_ste(Tensor x) -> Tensor", qat::ternary_sign_ste);
  m.def("scalar_clamp_ste(Tensor x, float lo, float hi) -> Tensor", qat::scalar_clamp_ste);
  m.def("scalar_clamp_min_ste(Tensor x, float lo) -> Tensor", qat::scalar_clamp_min_ste);
  m.def("tensor_clamp(Tensor x, Tensor lo, Tensor hi) -> Tensor", qat::tensor_clamp);
  m.def("tensor_clamp_ste(Tensor x, Tensor lo, Tensor hi) -> Tensor", qat::tensor_clamp_ste);
  m.def(
      "tensor_clamp_ste_(Tensor(a!) x, Tensor lo, Tensor hi) -> Tensor(a!)",
      qat::tensor_clamp_ste_);
  m.def("abs_binary_sign_grad(Tensor x) -> Tensor", qat::abs_binary_sign_grad);
}
