"""Scales from the tensors that pass by: the statistics phase, its end, and its interruptions."""

import copy
import pickle

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from qat import config, jit
from qat.components import (
    AbsMax,
    AbsPercentile,
    OverOutputChannelView,
    ParameterFromRuntimeStatsScaling,
    PowerOfTwoRestrictValue,
    RuntimeStatsScaling,
    finish_statistics,
    hold_statistics,
    statistics_left,
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


def test_first_statistic_is_taken_as_it_is_however_small(built):
    scaling = built(learned(steps=2))
    tiny = torch.tensor([3e-12])  # lost beside the 1 that it replaces, were they added
    scaling(tiny)
    assert torch.equal(scaling.value, tiny[0])
    assert torch.equal(scaling.buffer, tiny[0])


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


@pytest.mark.parametrize(
    "change",
    [
        lambda scaling: scaling.counter.zero_(),
        lambda scaling: scaling.load_state_dict(learned().state_dict()),
        lambda scaling: scaling.state_dict()["counter"].fill_(0),
        lambda scaling: setattr(scaling, "counter", torch.tensor(0)),
    ],
    ids=["in place", "loaded", "through the state dict", "another tensor"],
)
def test_counter_that_others_change_is_noticed(change, eager):
    scaling = learned(steps=3)
    fed(scaling, BATCHES[:2])
    change(scaling)
    seen = fed(scaling, BATCHES[:3])
    assert seen == [4.0, 8.0, 2.0]
    assert scaling.counter.item() == 3


@pytest.mark.parametrize(
    "copied",
    [
        copy.deepcopy,
        lambda scaling: pickle.loads(pickle.dumps(scaling)),
        lambda scaling: scaling.to(torch.float64).to(torch.float32),
    ],
    ids=["deepcopy", "pickle", "to"],
)
def test_copy_goes_on_where_the_original_was(copied, eager):
    scaling = learned(steps=3)
    fed(scaling, BATCHES[:2])
    assert fed(copied(scaling), BATCHES[2:]) == [2.0, 4.0]


@pytest.mark.parametrize("momentum", [0.3, None], ids=["momentum", "true average"])
@pytest.mark.parametrize("make", [learned, running])
def test_eager_and_masked_averages_are_the_same_numbers(make, momentum, dtype, eager):
    in_place, masked = (make(momentum=momentum).to(dtype) for _ in range(2))
    for batch in torch.randn(8, 5).to(dtype):
        stats = in_place.observe(batch)
        in_place.average_in_place(stats)
        masked.buffer.copy_(masked.average(stats))
        masked.counter.add_(1)
        assert torch.equal(in_place.buffer, masked.buffer)


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


class Counting:
    """A compiler that runs the graphs it is given as they are, and keeps their text."""

    def __init__(self):
        self.graphs = []

    def __call__(self, graph_module, _):
        self.graphs.append(str(graph_module.graph))
        return graph_module.forward


@pytest.fixture
def counted(monkeypatch):
    """A function: a module compiled in one graph, with its counting compiler."""
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    torch._dynamo.reset()

    def compile_(module):
        compiler = Counting()
        return torch.compile(module, fullgraph=True, backend=compiler), compiler

    yield compile_
    torch._dynamo.reset()


class Scaled(torch.nn.Module):
    def __init__(self, scaling):
        super().__init__()
        self.scaling = scaling

    def forward(self, x):
        return x / self.scaling(x)


def several_layers():
    return torch.nn.Sequential(*(Scaled(learned(steps=3, momentum=0.5)) for _ in range(4)))


@pytest.mark.parametrize(
    "switch", [finish_statistics, lambda model: model.train()], ids=["finish_statistics", "train"]
)
def test_compiled_model_compiles_once_in_the_phase_and_once_after_it(switch, counted):
    model = several_layers()
    compiled, compiler = counted(model)
    for batch in [*BATCHES, *BATCHES]:  # past the end of the phase
        compiled(batch)
    assert len(compiler.graphs) == 1
    switch(compiled)
    for batch in BATCHES:
        compiled(batch)
    assert ["aminmax" in graph for graph in compiler.graphs] == [True, False]
    assert [layer.scaling.counter.item() for layer in model] == [3] * 4


def test_switching_in_the_phase_compiles_nothing_anew(counted):
    compiled, compiler = counted(several_layers())
    compiled(BATCHES[0])
    compiled.train()
    assert finish_statistics(compiled) == 4
    compiled(BATCHES[1])
    assert len(compiler.graphs) == 1


def test_eager_steps_go_on_where_compiled_ones_stopped(counted):
    mixed, expected = learned(steps=6), learned(steps=6)
    compiled, _ = counted(mixed)
    seen = fed(mixed, BATCHES[:2]) + fed(compiled, BATCHES[2:]) + fed(mixed, BATCHES)
    assert seen == fed(expected, [*BATCHES, *BATCHES])
    assert mixed.counter.item() == 6


def test_quantizers_in_their_phase_are_counted(built):
    model = torch.torch.nn.ModuleList(
        [built(learned(steps=1)), built(learned(steps=3)), built(running())]
    )
    assert finish_statistics(model) == 2
    for scaling in model:
        scaling(BATCHES[0])
    assert finish_statistics(model) == 1
    assert [scaling.collecting for scaling in model] == [False, True, True]


def test_training_mode_of_a_model_without_values_is_set(eager):
    assert learned().to("meta").eval().train().training


def test_phase_ends_the_same_with_the_jit(toolchain):
    if not jit.is_available():
        pytest.skip("this torch has no TorchScript, or PYTORCH_JIT=0 turns it off")
    scripted = jit.script(learned())
    fed(scripted, BATCHES)
    assert scripted.collecting is False


def test_statistics_left_is_that_of_the_longest_phase():
    short, long = (ParameterFromRuntimeStatsScaling(steps, AbsMax()) for steps in (1, 3))
    model = torch.nn.ModuleList([short, long, RuntimeStatsScaling(AbsMax())])
    assert statistics_left(model) == 3
    for scaling in model:
        scaling(torch.ones(2))
    assert statistics_left(model) == 2


def test_held_statistics_are_used_and_take_no_more_until_training_begins_again():
    learned, running = ParameterFromRuntimeStatsScaling(9, AbsMax()), RuntimeStatsScaling(AbsMax())
    model = torch.nn.ModuleList([learned, running])
    for scaling in model:
        scaling(torch.full((2,), 2.0))
    hold_statistics(model)
    assert [scaling(torch.full((2,), 7.0)).detach() for scaling in model] == [2.0, 2.0]
    model.train()
    assert [scaling(torch.full((2,), 7.0)).detach() for scaling in model] == [7.0, 7.0]


def test_a_statistics_phase_that_is_held_reads_as_over():
    scaling = ParameterFromRuntimeStatsScaling(9, AbsMax())
    scaling(torch.ones(2))
    hold_statistics(scaling)
    assert not scaling.collecting
    assert scaling.train().collecting  # by the counter
