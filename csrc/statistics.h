// Statistics of a tensor; core/qat/ops/statistics.py documents their values.
#pragma once

#include <ATen/core/Tensor.h>

namespace qat {

// One implementation per dispatch key: for a CPU, for any other device, for shapes alone.
at::Tensor abs_kth_largest_cpu(const at::Tensor& x, int64_t k);
at::Tensor abs_kth_largest_composite(const at::Tensor& x, int64_t k);
at::Tensor abs_kth_largest_meta(const at::Tensor& x, int64_t k);

}  // namespace qat
