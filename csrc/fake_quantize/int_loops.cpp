// The loops of the integer quantizer.

#include "grids.h"
#include "one_pass.h"

namespace qat {
namespace {

template <typename T, bool kAllSums>
struct IntGrids {
  using Number = T;
  using Grid = IntGrid<T, kAllSums>;
  const T *scale, *zero_point;
  T qmin, qmax;
  bool clipped;

  explicit IntGrids(const Pass& pass)
      : scale(static_cast<const T*>(pass.scale)),
        zero_point(static_cast<const T*>(pass.zero_point)),
        qmin(static_cast<T>(pass.qmin)),
        qmax(static_cast<T>(pass.qmax)),
        clipped(pass.clipped) {}

  Grid operator()(int64_t c) const {
    return {scale[c], zero_point[c], qmin, qmax, clipped};
  }
};

template <typename T>
using OneSum = IntGrids<T, false>;
template <typename T>
using AllSums = IntGrids<T, true>;

}  // namespace

Loops int_loops(at::ScalarType x, at::ScalarType number, Bounds bounds) {
  return find_loops<OneSum>(x, number, bounds);
}

Loops int_loops_with_all_sums(at::ScalarType x, at::ScalarType number, Bounds bounds) {
  return find_loops<AllSums>(x, number, bounds);
}

}  // namespace qat
