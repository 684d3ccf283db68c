// How the parameters of a quantizer lie along a tensor in memory.
#pragma once

#include <ATen/DimVector.h>
#include <ATen/core/Tensor.h>

#include <optional>

namespace qat {

constexpr int64_t kGrain = 32768;  // elements below which a second thread does not pay

// x in the order of its memory is [outer, channels, inner], and entry c of a parameter belongs to all
// elements [:, c, :]. One parameter for the tensor: outer = channels = 1. One per channel of a
// channels-last tensor: inner = 1. Groups are channels.
struct Layout {
  int64_t outer, channels, inner;
  int64_t repeats;              // where `inner` was short, it counts as channels of equal parameters
  at::DimVector order;          // dimensions of x, outermost in memory first
  bool is_in_order;             // they are 0, 1, 2, ...
};

// Calls that do nothing are left out: each costs more than a loop over the few entries of a parameter.
inline at::Tensor as_dtype(const at::Tensor& x, at::ScalarType dtype) {
  return x.scalar_type() == dtype ? x : x.to(dtype);
}

inline at::Tensor dense(const at::Tensor& x) {
  return x.is_non_overlapping_and_dense() ? x : x.contiguous();
}

// Memory on a CPU for a result: of the shape, dtype and order of `like`, which is dense; of a shape and
// a dtype.
at::Tensor uninitialized_like(const at::Tensor& like);
at::Tensor uninitialized(at::IntArrayRef shape, at::ScalarType dtype);

// The shape to which both broadcast. Where they do not, expanding one of them to it is an error.
at::DimVector broadcast_shape(at::IntArrayRef a, at::IntArrayRef b);

// The layout of x, which is dense without overlap, under parameters of broadcast shape `parameters`;
// none where they do not lie along one run of dimensions.
std::optional<Layout> find_layout(const at::Tensor& x, at::IntArrayRef parameters);

// A parameter that broadcasts to x, as contiguous [layout.channels] of its own dtype.
at::Tensor per_channel(const at::Tensor& parameter, const at::Tensor& x, const Layout& layout);

}  // namespace qat
