"""Scales from the tensors that pass by: the statistics phase, its end, and its interruptions."""

import copy

import pytest
import torch

from qat import config, jit
from qat.components import (
    AbsMax,
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


def test_collecting_follows_the_dtype_of_the_module(built, dtype):
    scaling = built(learned(steps=2)).to(dtype)
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


# Interruption


@pytest.mark.parametrize("make", [learned, running])
@pytest.mark.parametrize("stop", [0, 1, 3, 4])  # before, in, at the end of and after the phase
@pytest.mark.parametrize("momentum", [0.5, None], ids=["momentum", "true average"])
def test_resuming_at_any_moment_equals_not_stopping(make, stop, momentum, built):
    uninterrupted = built(make(momentum=momentum))
    expected = fed(uninterrupted, BATCHES)

    first, second = built(make(momentum=momentum)), built(make(momentum=momentum))
    seen = fed(first, BATCHES[:stop])
    incompatible = second.load_state_dict(first.state_dict())
    seen += fed(second, BATCHES[stop:])

    assert not incompatible.missing_keys and not incompatible.unexpected_keys
    assert seen == expected
    for name, tensor in uninterrupted.state_dict().items():
        assert torch.equal(second.state_dict()[name], tensor)


def test_state_dict_before_any_data_loads_strictly(built):
    first, second = built(learned()), built(learned())
    fed(second, BATCHES)
    second.load_state_dict(first.state_dict())
    second.collecting = True  # as the proxy sets it after loading
    assert fed(second, BATCHES[:2]) == [4.0, 8.0]


def test_finished_scale_loads_into_a_fresh_one(built):
    finished, fresh = built(learned(steps=2)), built(learned(steps=2))
    fed(finished, BATCHES)
    fresh.load_state_dict(finished.state_dict())
    assert fed(fresh, BATCHES[2:]) == [6.0, 6.0]


def test_state_has_the_same_names_with_and_without_data(built):
    scaling = built(learned())
    before = list(scaling.state_dict())
    fed(scaling, BATCHES)
    assert list(scaling.state_dict()) == before
    assert sorted(before) == ["buffer", "counter", "value"]


def test_deep_copy_collects_for_itself(built):
    scaling = built(learned())
    scaling(BATCHES[0])
    copied = copy.deepcopy(scaling)
    copied(BATCHES[1])
    assert (scaling.counter.item(), copied.counter.item()) == (1, 2)


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


# Compiled


@pytest.fixture
def compiled(monkeypatch):
    """A function that compiles a module in one graph, in the plain Python mode of the library."""
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    torch._dynamo.reset()
    yield lambda module: torch.compile(module, fullgraph=True, backend="aot_eager")
    torch._dynamo.reset()


@pytest.mark.parametrize("make", [learned, running])
def test_compiled_gives_the_numbers_of_eager_over_the_end_of_the_phase(make, compiled):
    eager, traced = make(), make()
    function = compiled(traced)
    for step, batch in enumerate([*BATCHES, *BATCHES]):
        if step == 6:
            eager.eval(), traced.eval()
        assert torch.equal(function(batch), eager(batch))
    for name, tensor in eager.state_dict().items():
        assert torch.equal(traced.state_dict()[name], tensor)


def test_compiled_gives_the_gradients_of_eager_after_the_phase(compiled):
    eager, traced = learned(steps=1), learned(steps=1)
    function = compiled(traced)
    for batch in BATCHES[:3]:
        eager.value.grad = traced.value.grad = None
        (3 * function(batch)).backward()
        (3 * eager(batch)).backward()
    assert traced.value.grad.item() == eager.value.grad.item() == 3.0


def test_phase_ends_the_same_with_the_jit(toolchain):
    if not jit.is_available():
        pytest.skip("this torch has no TorchScript, or PYTORCH_JIT=0 turns it off")
    scripted = jit.script(learned())
    fed(scripted, BATCHES)
    assert scripted.collecting is False
