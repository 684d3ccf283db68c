"""Comparison of a graph with the model that it was traced from."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor, fx, nn

from qat.graph.tracing.examples import fresh
from qat.graph.tracing.python_state import attributes_put_back
from qat.graph.tracing.values import tensors_in

#: Largest difference, relative to the largest magnitude: the same steps may be summed in another
#: order, but a branch, a constant or an input that was missed shows.
TOLERANCE = 1e-4
#: Calls of modules whose inside was recorded, in the order of their ends, and what each gave.
Calls = Sequence[tuple[str, fx.Node | None]]


@dataclass(frozen=True)
class Difference:
    """A place where the graph does something else.

    Args:
        path: of the module; empty where no inner one is to blame.
        reason: how it differs.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class Outcome:
    """All that a run of a model gave and changed.

    Args:
        outputs: its tensors.
        state: its buffers afterwards, by name.
        learns: the parameters that get a gradient; None where that is not seen.
    """

    outputs: list[Tensor]
    state: dict[str, Tensor]
    learns: set[str] | None


def first_difference(
    model: nn.Module,
    original: nn.Module,
    traced: nn.Module,
    graph: fx.Graph,
    calls: Calls,
    args: tuple[Any, ...],
    wanted: Outcome | None = None,
    seed: int = 0,
) -> Difference | None:
    """Where ``traced`` computes something else than ``model``, as both are now; None: nowhere.

    Compared are the outputs, what became of the buffers, and which parameters have a gradient, with
    random numbers from the same seed. All state is put back.

    Args:
        model: the Python of the user, on tensors of its own.
        original: has the values of the parameters.
        traced: has ``graph`` and the tensors of ``model``.
        graph: that it computes in this mode.
        calls: of the recording that it is from.
        args: inputs for both.
        wanted: what ``model`` does with them, where that is known.
        seed: of the random numbers.
    Raises:
        Exception: whatever ``model`` raises on them.
    """
    if wanted is None:
        with state_put_back(model, original):
            wanted = outcome(seeded(model, args, seed), model)
    try:
        with state_put_back(model, original):
            reason = _difference(wanted, outcome(seeded(traced, args, seed), model))
    except Exception as error:  # a number of the example that the graph holds on to
        reason = f"its graph does not run on another batch ({type(error).__name__}: {error})"
    if reason is None:
        return None
    with state_put_back(model, original):
        seen = _calls_of(model, args, seed)
    with state_put_back(model, original):
        return Difference(_culprit(traced, graph, calls, seen, args, reason, seed), reason)


def seeded(function: Callable[..., Any], args: tuple[Any, ...], seed: int = 0) -> Any:
    """What ``function`` gives for copies of ``args``, with random numbers from one seed."""
    # Not torch.manual_seed, which reaches GPUs that nobody has used yet.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)
    numpy.random.seed(seed)
    with torch.enable_grad():
        return function(*fresh(args))


def python_draws() -> str:
    """Tells two states of the random numbers of Python and NumPy apart."""
    return f"{random.getstate()} {numpy.random.get_state(legacy=False)}"


def outcome(result: Any, owner: nn.Module) -> Outcome:
    """The outcome of a run that gave ``result`` and may have changed the buffers of ``owner``."""
    outputs = [*tensors_in(result)]
    names = {id(parameter): name for name, parameter in owner.named_parameters()}
    return Outcome(
        [output.detach().clone() for output in outputs],
        {name: buffer.detach().clone() for name, buffer in owner.named_buffers()},
        _learning(outputs, names),
    )


def _learning(outputs: list[Tensor], names: dict[int, str]) -> set[str] | None:
    """The parameters that a backward pass from ``outputs`` would come to.

    None where that is not seen: a checkpoint that calls ``backward`` inside hides its own.
    """
    open_nodes = [output.grad_fn for output in outputs if output.grad_fn is not None]
    seen, found = set(open_nodes), set()
    while open_nodes:
        node: Any = open_nodes.pop()
        if node.name() == "CheckpointFunctionBackward":
            return None
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        for other, _ in node.next_functions:
            if other is not None and other not in seen:
                seen.add(other)
                open_nodes.append(other)
    return {names[each] for each in found if each in names}


def _difference(wanted: Outcome, made: Outcome) -> str | None:
    if len(wanted.outputs) != len(made.outputs):
        return "the outputs are others"
    for expected, got in zip(wanted.outputs, made.outputs, strict=True):
        if not _is_close(expected, got):
            return "the outputs differ"
    changed = [
        name
        for name, x in wanted.state.items()
        if name in made.state and not _is_close(x, made.state[name])
    ]
    if changed:
        return f"the buffer {changed[0]} is updated differently"
    if wanted.learns is not None and made.learns is not None and wanted.learns != made.learns:
        odd = sorted(wanted.learns ^ made.learns)[0]
        return f"the parameter {odd} {'gets no' if odd in wanted.learns else 'gets a'} gradient"
    return None


def _is_close(expected: Tensor, got: Tensor) -> bool:
    if expected.shape != got.shape or expected.dtype != got.dtype:
        return False
    if not expected.is_floating_point() or expected.numel() == 0:
        return torch.equal(expected, got)
    finite = torch.nan_to_num(expected.detach(), posinf=0.0, neginf=0.0)
    largest = float(finite.abs().max())
    return torch.allclose(expected, got, rtol=TOLERANCE, atol=TOLERANCE * largest, equal_nan=True)


def _calls_of(
    model: nn.Module, args: tuple[Any, ...], seed: int
) -> list[tuple[str, Tensor | None]]:
    seen: list[tuple[str, Tensor | None]] = []

    def watch(name: str) -> Any:
        def hook(_module: Any, _args: Any, result: Any) -> None:
            first = next(tensors_in(result), None)
            seen.append((name, None if first is None else first.detach().clone()))

        return hook

    hooks = [module.register_forward_hook(watch(name)) for name, module in model.named_modules()]
    try:
        seeded(model, args, seed)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


class _Watched(fx.Interpreter):
    def __init__(self, module: nn.Module, graph: fx.Graph, wanted: set[fx.Node]) -> None:
        super().__init__(module, graph=graph)
        self.wanted, self.kept = wanted, {}  # type: ignore[var-annotated]

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n in self.wanted and isinstance(result, Tensor):
            self.kept[n] = result.detach().clone()
        return result


def _culprit(
    traced: nn.Module,
    graph: fx.Graph,
    calls: Calls,
    seen: list[tuple[str, Tensor | None]],
    args: tuple[Any, ...],
    reason: str,
    seed: int,
) -> str:
    watched = _Watched(traced, graph, {node for _, node in calls if node is not None})
    try:
        seeded(watched.run, args, seed)
    except Exception:  # the graph does not even run on this batch; what ran is compared
        pass
    recorded = {path for path, _ in calls}
    real = [call for call in seen if call[0] in recorded]
    in_graph = set(graph.nodes)
    for (path, node), (name, expected) in zip(calls, real, strict=False):
        if path != name:
            return _parent(name)
        if node not in in_graph:  # gives no tensor, or its node was replaced
            continue
        got = watched.kept.get(node)
        if (got is None) != (expected is None) or (
            got is not None and expected is not None and not _is_close(expected, got)
        ):
            return path
    named = next((word for word in reason.split() if "." in word), "")
    return _parent(named) if named else ""


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


@contextmanager
def state_put_back(model: nn.Module, original: nn.Module) -> Iterator[None]:
    """Buffers, parameters, other attributes and random states as they were before the block.

    Args:
        model: to run in the block; a copy of ``original`` with tensors of its own.
        original: has the values of the parameters.
    """
    buffers = [*model.buffers()]
    before = [buffer.detach().clone() for buffer in buffers]
    parameters = [*zip(model.parameters(), original.parameters(), strict=True)]
    versions = [(parameter._version, parameter.data_ptr()) for parameter, _ in parameters]
    with random_states_put_back(), attributes_put_back(model):
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, old in zip(buffers, before, strict=True):
                    buffer.copy_(old)
                for (parameter, old), version in zip(parameters, versions, strict=True):
                    if (parameter._version, parameter.data_ptr()) != version:
                        parameter.data = old.detach().clone()  # few models write into them


@contextmanager
def random_states_put_back() -> Iterator[None]:
    """The random numbers of torch, Python and NumPy go on as if nothing had been drawn."""
    python, of_numpy = random.getstate(), numpy.random.get_state()
    devices = [*range(torch.cuda.device_count())] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            numpy.random.set_state(of_numpy)
