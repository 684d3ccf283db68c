// The dtypes of a fused quantizer where tensor and scale differ: core/qat/ops/dtypes.py.
#pragma once

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>

#include "../layout.h"
#include "quantizers.h"

namespace qat {

// What a quantizer computes in, the wider type of tensor and scale, and what it gives: the type of
// x * scale.
struct Types {
  at::ScalarType number, result;
};

inline Types types_of(const at::Tensor& x, at::ScalarType scale, int64_t scale_dims) {
  const auto own = x.scalar_type(), number = c10::promoteTypes(own, scale);
  const bool count_alike = (x.dim() == 0) == (scale_dims == 0) || !at::isFloatingType(own);
  return {number, count_alike ? number : (x.dim() == 0 ? scale : own)};
}

inline Types types_of(const at::Tensor& x, const at::Tensor& scale) {
  return types_of(x, scale.scalar_type(), scale.dim());
}

// x as the kernels take it: in the type of the result, or in what is computed in.
inline at::Tensor operand(const at::Tensor& x, const Types& types) {
  return x.scalar_type() == types.result ? x : as_dtype(x, types.number);
}

// A scale that was found in a type of its own, in what is computed in.
inline at::Tensor scale_for(const at::Tensor& x, const at::Tensor& scale) {
  return as_dtype(scale, c10::promoteTypes(x.scalar_type(), scale.scalar_type()));
}

// The bounds of an activation function in front of x, which are numbers of the type of x.
inline Activation activation_for(const at::Tensor& x, const Activation& activation) {
  Activation own = activation;
  if ((own.lo || own.hi) && at::isFloatingType(x.scalar_type())) {
    AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "qat_bound", [&] {
      for (Bound* bound : {&own.lo, &own.hi}) {
        if (*bound) {
          *bound = static_cast<double>(static_cast<scalar_t>(**bound));
        }
      }
    });
  }
  return own;
}

}  // namespace qat
