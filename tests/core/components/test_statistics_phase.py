"""The statistics phase of scales: interrupted, compiled, ended and held from outside."""

import copy
import pickle

import pytest
import torch

from qat import jit
from qat.components import (
    AbsMax,
    LogFloatRestrictValue,
    LSQScaling,
    ParameterFromRuntimeStatsScaling,
    RuntimeStatsScaling,
    finish_statistics,
    hold_statistics,
    statistics_left,
)
from qat.components.scaling import found_range, set_range

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


# Interruption


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
def test_counter_that_others_change_is_noticed(change):
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
def test_copy_goes_on_where_the_original_was(copied):
    scaling = learned(steps=3)
    fed(scaling, BATCHES[:2])
    assert fed(copied(scaling), BATCHES[2:]) == [2.0, 4.0]


@pytest.mark.parametrize("make", [learned, lambda: running(None)], ids=["learned", "running"])
def test_resuming_at_any_moment_equals_not_stopping(make, built):
    uninterrupted = built(make())
    expected = fed(uninterrupted, BATCHES)
    fresh = built(make())
    for stop in (0, 1, 3, 4):  # before, in, at the end of and after the phase
        first, second = copy.deepcopy(fresh), copy.deepcopy(fresh)
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


# Compiled


class Counting:
    """A compiler that runs the graphs it is given as they are, and keeps their text."""

    def __init__(self):
        self.graphs = []

    def __call__(self, graph_module, _):
        self.graphs.append(str(graph_module.graph))
        return graph_module.forward


@pytest.fixture
def counted():
    """A function: a module compiled in one graph, with its counting compiler."""
    torch._dynamo.reset()

    def compile_(module):
        compiler = Counting()
        return torch.compile(module, fullgraph=True, backend=compiler), compiler

    yield compile_
    torch._dynamo.reset()


@pytest.mark.parametrize("make", [learned, running])
def test_compiled_gives_numbers_and_gradients_of_eager_over_the_end_of_the_phase(make):
    torch._dynamo.reset()
    eager, traced = make(), make()
    # what is learned is written to in the graph, which autograd sees as well
    backend = "aot_eager" if make is learned else "eager"
    function = torch.compile(traced, fullgraph=True, backend=backend)
    for batch in [*BATCHES, *BATCHES[:2]]:
        found, expected = function(batch), eager(batch)
        assert torch.equal(found, expected)
        for scale in (found, expected):
            if scale.requires_grad:
                (3 * scale).backward()
        for learned_in, learned_by in zip(traced.parameters(), eager.parameters(), strict=True):
            assert torch.equal(learned_in.grad, learned_by.grad)
    if make is running:  # evaluation is another graph of it
        assert torch.equal(function.eval()(ZEROS), eager.eval()(ZEROS))
    for name, tensor in eager.state_dict().items():
        assert torch.equal(traced.state_dict()[name], tensor)
    torch._dynamo.reset()


class Scaled(torch.nn.Module):
    def __init__(self, scaling):
        super().__init__()
        self.scaling = scaling

    def forward(self, x):
        return x / self.scaling(x)


def test_compiled_model_compiles_once_in_the_phase_and_once_after_it(counted):
    model = torch.nn.Sequential(Scaled(learned(steps=3)), Scaled(learned(steps=3)))
    compiled, compiler = counted(model)
    compiled(BATCHES[0])
    assert finish_statistics(compiled.train()) == 2  # in the phase: nothing changes
    for batch in [*BATCHES, *BATCHES]:  # past the end of the phase
        compiled(batch)
    assert len(compiler.graphs) == 1
    assert finish_statistics(compiled) == 0
    for batch in BATCHES:
        compiled(batch)
    assert ["aminmax" in graph for graph in compiler.graphs] == [True, False]
    assert [layer.scaling.counter.item() for layer in model] == [3, 3]


def test_training_mode_flips_the_switches_of_a_compiled_model_whose_phase_is_over(counted):
    scaling = learned(steps=1)
    compiled, _ = counted(scaling)
    scaling(BATCHES[0])
    scaling.collecting = True  # as compiled code leaves it
    compiled.train()
    assert not scaling.collecting


def test_eager_steps_go_on_where_compiled_ones_stopped(counted):
    mixed, expected = learned(steps=6), learned(steps=6)
    compiled, _ = counted(mixed)
    seen = fed(mixed, BATCHES[:2]) + fed(compiled, BATCHES[2:]) + fed(mixed, BATCHES)
    assert seen == fed(expected, [*BATCHES, *BATCHES])
    assert mixed.counter.item() == 6


def test_quantizers_in_their_phase_are_counted(built):
    model = torch.nn.ModuleList(
        [built(learned(steps=1)), built(learned(steps=3)), built(running())]
    )
    assert finish_statistics(model) == 2
    for scaling in model:
        scaling(BATCHES[0])
    assert finish_statistics(model) == 1
    assert [scaling.collecting for scaling in model] == [False, True, True]


def test_training_mode_of_a_model_without_values_is_set():
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


# Carried over to another grid


def of_steps(bits, built, restrict=None):
    """What a quantizer holds that learns its step."""
    scaling = LSQScaling(bits, False, False, 4, AbsMax(), restrict_scaling_impl=restrict)
    return torch.nn.ModuleDict({"scaling_impl": built(scaling)})


def test_a_step_found_on_one_grid_is_stretched_to_another_in_the_middle_of_its_phase(built):
    fine, coarse = of_steps(8, built), of_steps(4, built)
    fed(fine.scaling_impl, BATCHES[:2])
    before = {name: t.clone() for name, t in fine.scaling_impl.state_dict().items()}
    set_range(coarse, found_range(fine))
    after = coarse.scaling_impl.state_dict()
    torch.testing.assert_close(after["value"] * 15, before["value"] * 255)
    torch.testing.assert_close(after["buffer"] * 15, before["buffer"] * 255)
    assert after["counter"].item() == 2


def test_a_threshold_found_on_one_grid_is_that_of_another():
    fine, coarse = (torch.nn.ModuleDict({"scaling_impl": learned()}) for _ in range(2))
    fed(fine.scaling_impl, BATCHES)
    set_range(coarse, found_range(fine))
    assert coarse.scaling_impl.eval()(ZEROS) == fine.scaling_impl.eval()(ZEROS) == 4.0


def test_a_step_that_is_stored_as_a_logarithm_is_not_carried_over(built):
    assert found_range(of_steps(8, built, LogFloatRestrictValue())) is None
