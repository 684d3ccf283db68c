// The largest magnitude of each row, and its gradient.
#pragma once

#include <ATen/core/Tensor.h>

namespace qat {

// Whether the two functions below can be used: a CPU tensor, contiguous, of float or double. The caller
// knows that it is no subclass.
bool has_maximum_kernel(const at::Tensor& x);

// max |x| of each of `rows` rows, [rows]; of all for rows = 0, []. NaN where there is one.
at::Tensor maximum(const at::Tensor& x, int64_t rows);

// Adds the gradient of `maximum` to to_x, which is contiguous: to the first of the largest elements of
// each row, or in equal shares to all of them for rows = 0.
void add_maximum_gradient(
    at::Tensor& to_x, const at::Tensor& x, int64_t rows, const at::Tensor& to_maximum);

}  // namespace qat
