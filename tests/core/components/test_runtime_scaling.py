"""Scales from the tensors that pass by, and the work they take."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from qat import config
from qat.components import (
    AbsMax,
    AbsPercentile,
    OverOutputChannelView,
    ParameterFromRuntimeStatsScaling,
    PowerOfTwoRestrictValue,
    RuntimeStatsScaling,
)

#: Their largest magnitudes are 4, 8, 2, 16.
BATCHES = [torch.tensor([largest, -0.5 * largest]) for largest in (4.0, 8.0, 2.0, 16.0)]
ZEROS = torch.zeros(2)


def learned(steps=3, momentum=0.5, **kwargs):
    return ParameterFromRuntimeStatsScaling(
        steps, AbsMax(), scaling_stats_momentum=momentum, **kwargs
    )


def running(momentum=0.5, **kwargs):
    return RuntimeStatsScaling(AbsMax(), scaling_stats_momentum=momentum, **kwargs)


def fed(scaling, batches):
    return [scaling(batch).item() for batch in batches]


def in_evaluation(scaling):
    scaling.eval()
    scale = scaling(ZEROS).item()
    scaling.train()
    return scale


# The learned scale


def test_scale_is_the_statistic_of_the_batch_in_the_phase_and_the_parameter_after_it(built):
    scaling = built(learned(steps=3))
    # running average: 4; then 4 + (8 - 4) / 2 = 6; then 6 + (2 - 6) / 2 = 4
    assert fed(scaling, BATCHES) == [4.0, 8.0, 2.0, 4.0]
    assert scaling.value.item() == 4.0


def test_parameter_follows_the_running_average_of_the_statistics(built):
    scaling = built(learned(steps=10, momentum=0.25))
    values = [(scaling(batch), scaling.value.item())[1] for batch in BATCHES]
    # 4; 4 + 4 / 4 = 5; 5 - 3 / 4 = 4.25; 4.25 + 11.75 / 4 = 7.1875
    assert values == [4.0, 5.0, 4.25, 7.1875]


def test_without_momentum_the_average_is_the_true_one(built):
    scaling = built(learned(steps=4, momentum=None))
    values = [(scaling(batch), scaling.value.item())[1] for batch in BATCHES]
    assert values == pytest.approx([4.0, 6.0, 14 / 3, 7.5])


def test_evaluation_uses_the_parameter_and_collects_nothing(built):
    scaling = built(learned(steps=2))
    assert in_evaluation(scaling) == 1.0  # no data yet
    scaling(BATCHES[0])
    assert in_evaluation(scaling) == 4.0
    assert scaling.counter.item() == 1
    scaling(BATCHES[1])
    assert in_evaluation(scaling) == 6.0
    assert fed(scaling, BATCHES[2:]) == [6.0, 6.0]


def test_empty_batch_is_not_counted(built):
    scaling = built(learned(steps=2))
    assert scaling(torch.empty(0)).item() == 1.0
    assert scaling.counter.item() == 0


def test_parameter_gets_no_gradient_in_the_phase_and_its_own_after_it(built):
    scaling = built(learned(steps=1))
    scaling(BATCHES[0]).backward()
    assert scaling.value.grad is None or scaling.value.grad.item() == 0.0
    scaling.value.grad = None
    scaling(BATCHES[1]).backward()
    assert scaling.value.grad.item() == 1.0


def test_statistic_hands_no_gradient_to_the_batch(built):
    x = BATCHES[0].clone().requires_grad_()
    scale = built(learned(steps=5))(x)
    if scale.requires_grad:
        scale.backward()
    assert x.grad is None


def test_optimizer_step_in_the_phase_is_overwritten_and_counts_after_it(built):
    scaling = built(learned(steps=2, momentum=1.0))
    optimizer = torch.optim.SGD(scaling.parameters(), lr=0.5, weight_decay=0.1)
    for batch in BATCHES[:3]:
        optimizer.zero_grad()
        scaling(batch).backward()
        optimizer.step()
    # 8 from the second batch; its step decays by 0.5 * 0.1 * 8, the third's by 1 + 0.1 * 7.6 halved
    assert scaling.value.item() == pytest.approx(7.6 - 0.5 * (1.0 + 0.1 * 7.6))


def test_statistics_per_channel_keep_the_shape_of_the_scale(built):
    scaling = built(
        ParameterFromRuntimeStatsScaling(
            1, AbsMax(1), OverOutputChannelView((1, 0)), scaling_shape=(1, 2)
        )
    )
    assert scaling(torch.tensor([[1.0, -5.0], [-2.0, 3.0]])).tolist() == [[2.0, 5.0]]
    assert scaling.value.shape == (1, 2)


def test_learned_scale_can_be_restricted_to_powers_of_two(built):
    scaling = built(learned(steps=2, restrict_scaling_impl=PowerOfTwoRestrictValue()))
    seen = fed(scaling, [torch.tensor([3.0]), torch.tensor([5.5]), ZEROS])
    # log2: 1.58, 2.46; the average 3 + (5.5 - 3) / 2 = 4.25 has 2.09
    assert seen == [4.0, 4.0, 4.0]


def test_lower_bound_holds_for_statistics_of_zeros(built):
    scaling = built(learned(steps=2, scaling_min_val=0.125))
    assert fed(scaling, [ZEROS] * 3) == [0.125] * 3


def test_collecting_follows_the_dtype_of_the_module(dtype):
    scaling = learned(steps=2).to(dtype)
    scales = [scaling(batch.to(dtype)) for batch in BATCHES[:3]]
    assert [scale.item() for scale in scales] == [4.0, 8.0, 6.0]
    assert {scale.dtype for scale in scales} == {dtype}


@pytest.mark.parametrize("steps", [0, -1])
def test_phase_without_steps_is_refused(steps):
    with pytest.raises(ValueError, match=f"collect_stats_steps is {steps}; it must be at least 1"):
        learned(steps=steps)


@pytest.mark.parametrize("momentum", [0.0, -0.1, 1.5])
@pytest.mark.parametrize("make", [learned, running])
def test_momentum_outside_its_range_is_refused(make, momentum):
    with pytest.raises(ValueError, match="scaling_stats_momentum is .* above 0 and at most 1"):
        make(momentum=momentum)


def test_first_statistic_is_taken_as_it_is_however_small(built):
    scaling = built(learned(steps=2))
    tiny = torch.tensor([3e-12])  # lost beside the 1 that it replaces, were they added
    scaling(tiny)
    assert torch.equal(scaling.value, tiny[0])
    assert torch.equal(scaling.buffer, tiny[0])


# The running scale


def test_running_scale_is_that_of_the_batch_in_training_and_the_average_in_evaluation(built):
    scaling = built(running())
    assert fed(scaling, BATCHES[:2]) == [4.0, 8.0]
    assert in_evaluation(scaling) == 6.0
    assert fed(scaling, BATCHES[2:]) == [2.0, 16.0]
    assert in_evaluation(scaling) == 10.0


def test_running_scale_before_any_data_is_one(built):
    assert in_evaluation(built(running())) == 1.0


def test_running_scale_has_nothing_to_learn(built):
    assert list(built(running()).parameters()) == []


# The work that is done


class Recorder(TorchDispatchMode):
    """Keeps the name of every op, and the number of elements of its largest input."""

    def __enter__(self):
        self.calls = []
        return super().__enter__()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        sizes = [arg.numel() for arg in args if isinstance(arg, torch.Tensor)]
        self.calls.append((function._schema.name, max(sizes, default=0)))
        return function(*args, **(kwargs or {}))

    def count(self, name):
        return sum(called == f"aten::{name}" for called, _ in self.calls)


LARGE = torch.linspace(-1.0, 3.0, 1000)
READING = "_local_scalar_dense"  # what .item(), int() and bool() are


@pytest.fixture(params=["python", "native"])
def eager(request, monkeypatch):
    """The modes in which quantizers are plain Python modules."""
    if request.param == "native":
        request.getfixturevalue("toolchain")
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    monkeypatch.setattr(config, "NATIVE_STE_BACKEND_ENABLED", request.param == "native")


@pytest.mark.parametrize("stats", [AbsMax, lambda: AbsPercentile(99.0)], ids=["max", "percentile"])
def test_after_the_phase_no_op_reads_the_batch_or_the_counter(stats, eager):
    scaling = ParameterFromRuntimeStatsScaling(2, stats())
    with Recorder() as within:
        fed(scaling, [LARGE])
    scaling(LARGE)
    with Recorder() as after:
        scaling(LARGE)
    assert any(size >= LARGE.numel() for _, size in within.calls)
    assert all(size <= 1 for _, size in after.calls)
    assert after.count(READING) == 0


@pytest.mark.parametrize("make", [lambda: learned(steps=9), running], ids=["learned", "running"])
def test_no_step_waits_for_a_value_once_the_counter_is_known(make, eager):
    scaling = make()
    scaling(BATCHES[0])
    with Recorder() as recorder:
        for batch in BATCHES:
            scaling(batch)
    assert recorder.count(READING) == 0
    assert scaling.counter.item() == 5


def test_finished_scale_that_is_loaded_takes_no_statistic_more(eager):
    finished, fresh = learned(steps=2), learned(steps=2)
    fed(finished, BATCHES)
    fresh.load_state_dict(finished.state_dict())
    with Recorder() as recorder:
        fresh(LARGE)
    assert all(size <= 1 for _, size in recorder.calls)


@pytest.mark.parametrize("momentum", [0.3, None], ids=["momentum", "true average"])
def test_eager_and_masked_averages_are_the_same_numbers(momentum, dtype):
    in_place, masked = (learned(momentum=momentum).to(dtype) for _ in range(2))
    for batch in torch.randn(8, 5).to(dtype):
        stats = in_place.observe(batch)
        in_place.average_in_place(stats)
        masked.buffer.copy_(masked.average(stats))
        masked.counter.add_(1)
        assert torch.equal(in_place.buffer, masked.buffer)
