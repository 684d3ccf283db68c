// How the parameters of a quantizer lie along a tensor in memory.

#include "layout.h"

#include <ATen/Dispatch.h>
#include <ATen/EmptyTensor.h>

#include <algorithm>
#include <numeric>

namespace qat {
namespace {

// Rows shorter than this are not worth a loop of their own: a 3 x 3 kernel has 9 elements.
constexpr int64_t kShortRow = 64;
constexpr int64_t kManyElements = 65536;  // below, repeating the parameters costs more than it gains

// Size of a parameter along dimension `dim` of x, whose last dimensions it shares.
int64_t size_along(at::IntArrayRef parameters, const at::Tensor& x, int64_t dim) {
  const int64_t own = dim - (x.dim() - static_cast<int64_t>(parameters.size()));
  return own < 0 ? 1 : parameters[own];
}

}  // namespace

at::Tensor uninitialized_like(const at::Tensor& like) {
  return at::Tensor(at::detail::empty_strided_cpu(like.sizes(), like.strides(), like.options()));
}

at::Tensor uninitialized(at::IntArrayRef shape, at::ScalarType dtype) {
  return at::Tensor(at::detail::empty_cpu(shape, dtype));
}

at::DimVector broadcast_shape(at::IntArrayRef a, at::IntArrayRef b) {
  const auto &longer = a.size() > b.size() ? a : b, &shorter = a.size() > b.size() ? b : a;
  const size_t more = longer.size() - shorter.size();
  at::DimVector shape(longer.begin(), longer.end());
  for (size_t i = 0; i < shorter.size(); ++i) {
    shape[more + i] = shape[more + i] == 1 ? shorter[i] : shape[more + i];
  }
  return shape;
}

std::optional<Layout> find_layout(const at::Tensor& x, at::IntArrayRef parameters) {
  if (static_cast<int64_t>(parameters.size()) > x.dim()) {
    return std::nullopt;
  }
  if (c10::multiply_integers(parameters) == 1) {
    return Layout{1, 1, x.numel(), 1, {}, true};
  }
  Layout layout{1, 1, 1, 1, at::DimVector(x.dim()), x.is_contiguous()};
  std::iota(layout.order.begin(), layout.order.end(), 0);
  if (!layout.is_in_order) {
    std::stable_sort(layout.order.begin(), layout.order.end(), [&](int64_t a, int64_t b) {
      return x.stride(a) > x.stride(b);
    });
  }
  // States of the walk from the outermost dimension inwards: before, along, behind the parameters.
  enum { kOuter, kChannels, kInner } place = kOuter;
  for (const int64_t dim : layout.order) {
    const int64_t size = x.size(dim), own = size_along(parameters, x, dim);
    if (size == 1) {
      continue;
    }
    if (own != 1) {
      if (own != size || place == kInner) {
        return std::nullopt;
      }
      place = kChannels;
      layout.channels *= size;
    } else {
      if (place == kChannels) {
        place = kInner;
      }
      (place == kOuter ? layout.outer : layout.inner) *= size;
    }
  }
  if (layout.inner < kShortRow && x.numel() >= kManyElements) {
    std::swap(layout.repeats, layout.inner);
    layout.channels *= layout.repeats;
  }
  return layout;
}

at::Tensor per_channel(const at::Tensor& parameter, const at::Tensor& x, const Layout& layout) {
  at::Tensor values = parameter;
  if (values.numel() == 1 && layout.channels == 1) {
    return values;  // one element is contiguous
  }
  if (values.numel() == layout.channels && layout.is_in_order && values.is_contiguous()) {
    return values;
  }
  if (values.numel() == 1) {
    const at::Tensor repeated = uninitialized({layout.channels}, values.scalar_type());
    AT_DISPATCH_FLOATING_TYPES_AND2(
        at::kHalf, at::kBFloat16, values.scalar_type(), "qat_per_channel", [&] {
          std::fill_n(
              repeated.mutable_data_ptr<scalar_t>(), layout.channels,
              *values.const_data_ptr<scalar_t>());
        });
    return repeated;
  }
  std::vector<int64_t> shape(x.dim());
  for (int64_t dim = 0; dim < x.dim(); ++dim) {
    shape[dim] = size_along(parameter.sizes(), x, dim);
  }
  // Dimensions of size 1 of x lie anywhere in the order and have one entry.
  values = values.reshape(shape).permute(layout.order).reshape({-1});
  return layout.repeats == 1 ? values.contiguous() : values.repeat_interleave(layout.repeats);
}

}  // namespace qat
