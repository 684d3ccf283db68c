// The loops of the quantizers by sign, binary and ternary.

#include "grids.h"
#include "one_pass.h"

namespace qat {
namespace {

template <typename T>
struct BinaryGrids {
  using Number = T;
  using Grid = BinaryGrid<T>;
  const T* scale;
  bool clipped;

  explicit BinaryGrids(const Pass& pass)
      : scale(static_cast<const T*>(pass.scale)), clipped(pass.clipped) {}

  Grid operator()(int64_t c) const {
    return {scale[c], clipped};
  }
};

template <typename T>
struct TernaryGrids {
  using Number = T;
  using Grid = TernaryGrid<T>;
  const T *scale, *edge;

  explicit TernaryGrids(const Pass& pass)
      : scale(static_cast<const T*>(pass.scale)), edge(static_cast<const T*>(pass.edge)) {}

  Grid operator()(int64_t c) const {
    return {scale[c], edge[c]};
  }
};

}  // namespace

Loops binary_loops(at::ScalarType x, at::ScalarType number, Bounds bounds) {
  return find_loops<BinaryGrids>(x, number, bounds);
}

Loops ternary_loops(at::ScalarType x, at::ScalarType number, Bounds bounds) {
  return find_loops<TernaryGrids>(x, number, bounds);
}

}  // namespace qat
