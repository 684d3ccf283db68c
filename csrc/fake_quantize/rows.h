// One pass over a tensor in parallel, through the loops of a quantizer.
#pragma once

#include "../layout.h"
#include "loops.h"

namespace qat {

void forward_all(const Loops& loops, const Pass& pass, const Layout& layout);

// sums: [count][layout.channels], zero on entry. Partial sums are added in a fixed order: the result
// does not depend on the number of threads.
void backward_all(
    const Loops& loops, const Pass& pass, const Layout& layout, int64_t count, double* sums);

}  // namespace qat
