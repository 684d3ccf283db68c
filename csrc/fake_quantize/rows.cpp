// One pass over a tensor in parallel, through the loops of a quantizer.

#include "rows.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

namespace qat {
namespace {

int64_t in_parts(int64_t length, int64_t part) {
  return (length + part - 1) / part;
}

int64_t tasks_per_thread(int64_t length) {
  return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, std::min(length, kTask)));
}

// Whether the parameters change with every element; otherwise they are constant along rows.
bool is_by_column(const Layout& layout) {
  return layout.inner == 1 && layout.channels > 1;
}

// Rows of `inner` elements, each cut into tasks.
struct Rows {
  int64_t length, channels, per_row, tasks;

  explicit Rows(const Layout& layout)
      : length(layout.inner),
        channels(layout.channels),
        per_row(in_parts(length, kTask)),
        tasks(layout.outer * channels * per_row) {}

  int64_t channel(int64_t task) const {
    return task / per_row % channels;
  }

  // body(task, first element, elements)
  template <typename Body>
  void for_each(const Body& body) const {
    at::parallel_for(0, tasks, tasks_per_thread(length), [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t first = task % per_row * kTask;
        body(task, task / per_row * length + first, std::min(kTask, length - first));
      }
    });
  }
};

void backward_rows(
    const Loops& loops, const Pass& pass, const Layout& layout, int64_t count, double* sums) {
  const Rows rows(layout);
  std::vector<double> partial(rows.tasks * count);
  rows.for_each([&](int64_t task, int64_t first, int64_t elements) {
    loops.row_backward(pass, first, elements, rows.channel(task), partial.data() + task * count);
  });
  for (int64_t task = 0; task < rows.tasks; ++task) {
    for (int64_t k = 0; k < count; ++k) {
      sums[k * rows.channels + rows.channel(task)] += partial[task * count + k];
    }
  }
}

void backward_columns(
    const Loops& loops, const Pass& pass, const Layout& layout, int64_t count, double* sums) {
  const int64_t rows = std::max<int64_t>(1, kTask / layout.channels);  // of one task
  const int64_t tasks = in_parts(layout.outer, rows), width = count * layout.channels;
  std::vector<double> partial(tasks * width);
  at::parallel_for(0, tasks, 2, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      loops.columns_backward(
          pass, task * rows, std::min((task + 1) * rows, layout.outer),
          partial.data() + task * width);
    }
  });
  for (int64_t task = 0; task < tasks; ++task) {
    for (int64_t i = 0; i < width; ++i) {
      sums[i] += partial[task * width + i];
    }
  }
}

}  // namespace

void forward_all(const Loops& loops, const Pass& pass, const Layout& layout) {
  if (is_by_column(layout)) {
    at::parallel_for(
        0, layout.outer, tasks_per_thread(layout.channels),
        [&](int64_t begin, int64_t end) { loops.columns(pass, begin, end); });
    return;
  }
  const Rows rows(layout);
  rows.for_each([&](int64_t task, int64_t first, int64_t elements) {
    loops.row(pass, first, elements, rows.channel(task));
  });
}

void backward_all(
    const Loops& loops, const Pass& pass, const Layout& layout, int64_t count, double* sums) {
  const auto backward = is_by_column(layout) ? backward_columns : backward_rows;
  backward(loops, pass, layout, count, sums);
}

}  // namespace qat
