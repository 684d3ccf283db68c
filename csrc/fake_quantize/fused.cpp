// Fused quantizers on a CPU: one pass over memory forward, one backward.

#include <ATen/Dispatch.h>

#include <cmath>
#include <limits>
#include <vector>

#include "quantizers.h"
#include "rows.h"

namespace qat {
namespace {

using at::Tensor;

// A tensor and the parameters of its quantizer as the loops take them.
struct Job {
  Tensor x;  // dense
  at::ScalarType number;
  at::DimVector parameters;  // their broadcast shape
  Layout layout;
  Bounds bounds;
  Pass pass;
  c10::SmallVector<Tensor, 2> entries;  // what `pass` points to

  // The entries of a parameter, one per channel.
  const void* per_channel(const Tensor& parameter) {
    TORCH_CHECK(
        parameter.scalar_type() == number,
        "a parameter is of ", parameter.scalar_type(), "; it has to be of ", number,
        ", as the scale is.");
    entries.push_back(qat::per_channel(parameter, x, layout));
    return entries.back().const_data_ptr();
  }
};

// Whether two tensors of one shape have one memory order.
bool is_alike(const Tensor& a, const Tensor& b) {
  return a.strides() == b.strides() && a.scalar_type() == b.scalar_type();
}

// None where there are no loops for it: it has to be composed.
std::optional<Job> job_for(
    const Tensor& x, const Tensor& scale, at::DimVector parameters, const Activation& activation) {
  const at::ScalarType number = scale.scalar_type();
  if (x.numel() == 0 || !has_loops(x.scalar_type(), number)) {
    return std::nullopt;
  }
  auto layout = find_layout(x, parameters);
  if (!layout) {
    return std::nullopt;
  }
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  Pass pass;
  pass.x = x.const_data_ptr();
  pass.lo = activation.lo.value_or(kNone);
  pass.hi = activation.hi.value_or(kNone);
  pass.channels = layout->channels;
  const Bounds bounds = activation.hi ? Bounds::kAny
      : activation.lo                 ? Bounds::kLow
                                      : Bounds::kNone;
  return Job{x, number, std::move(parameters), std::move(*layout), bounds, pass, {}};
}

double number(const Tensor& x) {
  return x.scalar_type() == at::kFloat ? *x.const_data_ptr<float>() : x.item<double>();
}

std::optional<Job> int_job(
    const Tensor& x, const Tensor& scale, const Integers& integers, const Activation& activation) {
  auto shape = broadcast_shape(scale.sizes(), integers.zero_point.sizes());
  auto job = integers.bit_width.numel() == 1
      ? job_for(x, scale, std::move(shape), activation)
      : std::nullopt;
  if (job) {
    const auto entries = [&](const Tensor& parameter) {
      const bool is_whole = parameter.numel() == 1 ||
          parameter.sizes() == at::IntArrayRef(job->parameters);
      return job->per_channel(is_whole ? parameter : parameter.expand(job->parameters));
    };
    const double half = std::pow(2.0, number(integers.bit_width) - 1);
    const double narrow = integers.is_narrow ? 1.0 : 0.0;
    job->pass.scale = entries(scale);
    job->pass.zero_point = entries(integers.zero_point);
    job->pass.qmin = integers.is_signed ? -half + narrow : 0.0;
    job->pass.qmax = integers.is_signed ? half - 1.0 : 2.0 * half - 1.0 - narrow;
    job->pass.clipped = integers.clipped;
  }
  return job;
}

std::optional<Job> binary_job(
    const Tensor& x, const Tensor& scale, bool clipped, const Activation& activation) {
  auto job = job_for(x, scale, at::DimVector(scale.sizes()), activation);
  if (job) {
    job->pass.scale = job->per_channel(scale);
    job->pass.clipped = clipped;
  }
  return job;
}

std::optional<Job> ternary_job(
    const Tensor& x, const Tensor& scale, double threshold, const Activation& activation) {
  auto job = job_for(x, scale, at::DimVector(scale.sizes()), activation);
  if (job) {
    job->pass.scale = job->per_channel(scale);
    job->entries.push_back(job->entries.back().mul(threshold));
    job->pass.edge = job->entries.back().const_data_ptr();
  }
  return job;
}

Tensor forward(Job& job, FindLoops find_loops) {
  Tensor y = uninitialized_like(job.x);
  job.pass.result = y.mutable_data_ptr();
  forward_all(find_loops(job.x.scalar_type(), job.number, job.bounds), job.pass, job.layout);
  return y;
}

// Memory for k sums of each parameter: [k, *parameters] where that is how the channels lie, otherwise
// [k, channels in the order of memory].
Tensor memory_for_sums(int64_t count, const Job& job) {
  const Layout& layout = job.layout;
  if (layout.channels > 1 && (!layout.is_in_order || layout.repeats > 1)) {
    return uninitialized({count, layout.channels}, job.number);
  }
  at::DimVector shape{count};
  shape.append(job.parameters.begin(), job.parameters.end());
  return uninitialized(shape, job.number);
}

// sums: as above -> [k, *parameters].
Tensor in_shape(Tensor sums, const Job& job) {
  const Layout& layout = job.layout;
  const at::DimVector& parameters = job.parameters;
  if (layout.channels == 1 || (layout.is_in_order && layout.repeats == 1)) {
    return sums;
  }
  if (layout.repeats > 1) {
    sums = sums.reshape({sums.size(0), -1, layout.repeats}).sum(2);
  }
  const int64_t missing = job.x.dim() - static_cast<int64_t>(parameters.size());
  at::DimVector in_order{sums.size(0)}, back(parameters.size() + 1);
  for (const int64_t dim : layout.order) {
    if (dim >= missing) {
      in_order.push_back(parameters[dim - missing]);
      back[dim - missing + 1] = static_cast<int64_t>(in_order.size()) - 1;
    }
  }
  return sums.reshape(in_order).permute(back);
}

// The gradient of x goes over the incoming one where that is ours and like x.
Gradients backward(Job& job, const Incoming& incoming, FindLoops find_loops, int64_t count = 1) {
  const bool is_in_order = is_alike(incoming.gradient, job.x);
  const Tensor to_x =
      incoming.is_ours && is_in_order ? incoming.gradient : uninitialized_like(job.x);
  const Tensor grad = is_in_order ? incoming.gradient : to_x.copy_(incoming.gradient);
  job.pass.grad = grad.const_data_ptr();
  job.pass.result = to_x.mutable_data_ptr();
  std::vector<double> total(count * job.layout.channels);
  const Loops loops = find_loops(job.x.scalar_type(), job.number, job.bounds);
  backward_all(loops, job.pass, job.layout, count, total.data());
  const Tensor sums = memory_for_sums(count, job);
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, job.number, "qat_sums", [&] {
    std::copy(total.begin(), total.end(), sums.mutable_data_ptr<scalar_t>());
  });
  return {to_x, in_shape(sums, job)};
}

}  // namespace

template <>
Tensor Fused::int_forward(
    const Tensor& x_, const Tensor& scale, const Integers& integers, const Activation& activation) {
  const Tensor x = dense(x_);
  auto job = int_job(x, scale, integers, activation);
  return job ? forward(*job, int_loops) : Composed::int_forward(x, scale, integers, activation);
}

template <>
Gradients Fused::int_backward(
    const Incoming& grad, const Tensor& x_, const Tensor& scale, const Integers& integers,
    const Activation& activation, bool all_sums) {
  const Tensor x = dense(x_);
  auto job = int_job(x, scale, integers, activation);
  if (!job) {
    return Composed::int_backward(grad, x, scale, integers, activation, all_sums);
  }
  return all_sums ? backward(*job, grad, int_loops_with_all_sums, 3)
                  : backward(*job, grad, int_loops);
}

template <>
Tensor Fused::binary_forward(const Tensor& x_, const Tensor& scale, const Activation& activation) {
  const Tensor x = dense(x_);
  auto job = binary_job(x, scale, true, activation);
  return job ? forward(*job, binary_loops) : Composed::binary_forward(x, scale, activation);
}

template <>
Gradients Fused::binary_backward(
    const Incoming& grad, const Tensor& x_, const Tensor& scale, bool clipped,
    const Activation& activation) {
  const Tensor x = dense(x_);
  auto job = binary_job(x, scale, clipped, activation);
  return job ? backward(*job, grad, binary_loops)
             : Composed::binary_backward(grad, x, scale, clipped, activation);
}

template <>
Tensor Fused::ternary_forward(
    const Tensor& x_, const Tensor& scale, double threshold, const Activation& activation) {
  const Tensor x = dense(x_);
  auto job = ternary_job(x, scale, threshold, activation);
  return job ? forward(*job, ternary_loops)
             : Composed::ternary_forward(x, scale, threshold, activation);
}

template <>
Gradients Fused::ternary_backward(
    const Incoming& grad, const Tensor& x_, const Tensor& scale, double threshold,
    const Activation& activation) {
  const Tensor x = dense(x_);
  auto job = ternary_job(x, scale, threshold, activation);
  return job ? backward(*job, grad, ternary_loops)
             : Composed::ternary_backward(grad, x, scale, threshold, activation);
}

}  // namespace qat
