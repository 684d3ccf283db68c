// Forward values of the ops that torch does not have as they are needed here: core/qat/ops/values.py.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/rsub.h>

#include <limits>

namespace qat {

// 1 + 2 * floor(clamp(x, -1, 0)); see values.py for why this form.
inline at::Tensor binary_sign(const at::Tensor& x) {
  return at::rsub(x.clamp(-1.0, 0.0).floor(), 1, -2);
}

inline at::Tensor ternary_sign(const at::Tensor& x) {
  return x.sign().add(x.clamp(0.0, 0.0));
}

// The smallest positive normal number of a floating-point dtype.
inline double smallest_normal(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble:
      return std::numeric_limits<double>::min();
    case at::kHalf:
      return 6.103515625e-05;  // 2^-14
    default:
      return std::numeric_limits<float>::min();  // that of bfloat16 as well
  }
}

}  // namespace qat
