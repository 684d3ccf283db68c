"""The graph of a float model, for the converter to change.

The model is recorded twice, in evaluation and in training (:mod:`qat.graph.tracing.recorder`), and
each recording is compared with it on other data. A module that cannot be recorded, or that computes
something else than its recording, is kept whole, in Python.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from qat.graph.layers import WEIGHT_LAYERS
from qat.graph.model import ConvertedModel
from qat.graph.tracing.batch_norms import plain_batch_norm
from qat.graph.tracing.copying import copy_sharing_tensors, copy_with_own_tensors
from qat.graph.tracing.examples import fresh, noise_like, of_sizes, with_two
from qat.graph.tracing.nodes import Untraceable
from qat.graph.tracing.one_graph import make_dropouts_modules, same_steps
from qat.graph.tracing.python_state import numbers_of
from qat.graph.tracing.recorder import Recorder
from qat.graph.tracing.same_function import (
    Difference,
    Outcome,
    first_difference,
    outcome,
    python_draws,
    seeded,
    state_put_back,
)
from qat.torchscript import is_scripted

#: torch's modules that compute in Python with layers inside; those are what is quantized.
_MADE_OF_LAYERS = (
    nn.Bilinear,  # a function with a weight, which is quantized where that is called
    nn.EmbeddingBag,
    nn.Transformer,
    nn.TransformerEncoder,
    nn.TransformerDecoder,
    nn.TransformerEncoderLayer,
    nn.TransformerDecoderLayer,
)


#: One batch as a model takes it: a tensor, or a tuple of its arguments.
Example = Tensor | tuple[Any, ...]


@dataclass(frozen=True)
class Trace:
    """A traced model.

    Args:
        graph_module: the model as a graph; shares its tensors with the original.
        notes: what a user should know of the trace.
        whole: reasons, by the path of each module that is kept whole.
    """

    graph_module: ConvertedModel
    notes: list[str]
    whole: dict[str, str] = field(default_factory=dict)


#: Where Python draws numbers, it may take one way with one seed and another with the next.
_SEEDS = (1, 2, 3, 4, 5)
#: And where it looks at the size of the batch, one way for some sizes.
_SIZES = (1, 2, 3, 5, 8)


#: How the note begins.
_MOVED = "forward changes numbers that Python keeps,"


class GrowingModel(ValueError):
    """The model has layers that it makes in its first call."""


class TraceFailure(Exception):
    """The model does not trace; the text says why."""


def is_torchs_own(module: nn.Module) -> bool:
    """Whether torch's own code, no user's, computes ``module`` and uses what is inside of it."""
    forward = type(module).forward
    if isinstance(module, nn.Sequential) or forward is nn.Module.forward:
        return False
    return str(getattr(forward, "__module__", "")).startswith("torch.nn.modules.")


def is_kept_whole(module: nn.Module) -> bool:
    """Whether a module is one call in a graph, whose inside is not recorded."""
    if is_scripted(module) or type(module).__module__.startswith("qat.nn."):
        return True
    if not is_torchs_own(module) or isinstance(module, _MADE_OF_LAYERS):
        return False
    # A layer whose weight is computed: what computes it is recorded as well.
    computed = isinstance(module, tuple(WEIGHT_LAYERS)) and "weight" not in module._parameters
    return not computed


def trace(model: nn.Module, example: Example) -> Trace:
    """The graph of ``model``, which stays as it is.

    Args:
        model: in float.
        example: one batch as the model takes it: a tensor, or a tuple of the arguments.
    Raises:
        TraceFailure: the model's own ``forward`` cannot be recorded, or does not run.
        GrowingModel: layers are made, or their shapes known, in the first call only.
    """
    args = example if isinstance(example, tuple) else (example,)
    for name, parameter in model.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise GrowingModel(
                f"the shape of {name!r} is not known before the model is called first: call the "
                "model once with a batch, then convert it."
            )
    tracing = _Tracing(model, copy_with_own_tensors(model), args)
    while True:
        try:
            recordings = tracing.recordings()
            difference = tracing.difference(*recordings)
        except Untraceable as found:
            tracing.keep_whole(found.path, found.reason)
            continue
        if difference is None:
            return tracing.assembled(*recordings)
        tracing.keep_whole(difference.path, difference.reason)


@dataclass
class _Recording:
    graph: fx.Graph
    calls: list[tuple[str, fx.Node | None]]
    batch_norms: set[str]
    args: tuple[Any, ...]
    outcome: Outcome
    draws_in_python: bool
    depends_on_batch: bool


class _Tracing:
    """The way from a model to its graph.

    Args:
        model: of the user.
        subject: a copy with tensors of its own, to run.
        args: of ``forward``.
    """

    def __init__(self, model: nn.Module, subject: nn.Module, args: tuple[Any, ...]) -> None:
        self.model, self.subject = model, subject
        self.args = args
        self.whole: dict[str, str] = {}
        self.added: dict[str, Any] = {}
        self.notes: list[str] = []
        self.frozen = _frozen_by_hand(model)

    def keep_whole(self, path: str, reason: str) -> None:
        if not path or path in self.whole:
            raise TraceFailure(reason)
        self.whole[path] = reason

    def recordings(self) -> tuple[_Recording, _Recording | None]:
        """Those of evaluation and training; None where the model does not run in training."""
        self.notes, self.added = [], {}
        self._set_mode(training=False)
        evaluation = self._recorded_on(self.args)
        self._set_mode(training=True)
        try:
            training = self._recorded_in_training()
        except TraceFailure as failure:
            self.notes.append(
                f"the model does not run in training ({failure}): there, the converted model "
                "computes as in evaluation"
            )
            return evaluation, None
        dropouts = same_steps(evaluation.graph, training.graph)
        if dropouts is None:
            return evaluation, training
        self.added |= make_dropouts_modules(self.subject, dropouts)
        return evaluation, replace(training, graph=evaluation.graph, calls=evaluation.calls)

    def _recorded_in_training(self) -> _Recording:
        two = with_two(self.args)  # batch norms want more than one
        try:
            return self._recorded_on(two)
        except TraceFailure:
            if two is self.args:
                raise
            return self._recorded_on(self.args)

    def _recorded_on(self, args: tuple[Any, ...]) -> _Recording:
        recorder = Recorder(self.subject, self._is_leaf, self.added)
        names = _input_names(self.model, len(args))
        try:
            with state_put_back(self.subject, self.model):
                before = seeded(python_draws, ())
                numbers = numbers_of(self.subject)
                result = seeded(lambda *given: recorder.run(given, names), args)
                self._look_at_what_moved(numbers)
                made = outcome(result, self.subject)
                draws = python_draws() != before
        except GrowingModel:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {_first_line(error)}"
            if not self._runs(args):
                raise TraceFailure(reason) from error
            raise Untraceable(recorder.failed_in, reason) from error
        return _Recording(
            recorder.graph,
            recorder.calls,
            recorder.batch_norms,
            args,
            made,
            draws,
            recorder.depends_on_batch,
        )

    def _look_at_what_moved(self, numbers: Mapping[str, Any]) -> None:
        known = {name for name, _ in self.model.named_parameters()}
        new = [name for name, _ in self.subject.named_parameters() if name not in known]
        if new:
            raise GrowingModel(
                f"forward adds {new[0]!r} to the model when it is called first: call the model "
                "once with a batch, then convert it."
            )
        now = numbers_of(self.subject)
        moved = [
            name
            for name, item in numbers.items()
            if now.get(name) != item and not name.startswith(tuple(f"{n}." for n in self.whole))
        ]
        if moved and not any(note.startswith(_MOVED) for note in self.notes):
            self.notes.append(
                f"{_MOVED} {', '.join(moved)}: in the converted model that stays as it is now, "
                "and so do branches on it"
            )

    def _runs(self, args: tuple[Any, ...]) -> bool:
        try:
            with state_put_back(self.subject, self.model), torch.no_grad():
                self.subject(*fresh(args))
        except Exception:  # whatever the user's forward raises
            return False
        return True

    def _is_leaf(self, module: nn.Module, path: str) -> bool:
        return path in self.whole or is_kept_whole(module)

    def _set_mode(self, training: bool) -> None:
        self.subject.train(training)  # as the user's own train() has it
        for name in self.frozen:
            self.subject.get_submodule(name).training = False

    def difference(self, evaluation: _Recording, training: _Recording | None) -> Difference | None:
        """Where the graphs compute something else than the model.

        That of evaluation is tried on other data and, unless its recordings have shown that it
        does not depend on it, on another batch size. That of training is run again, and on other
        data where Python draws random numbers.
        """
        traced = self._model_on(self.subject, evaluation, training)
        is_one = training is not None and training.graph is evaluation.graph
        other = noise_like(self.args if is_one else with_two(self.args))
        found = self._difference(traced, evaluation, False, other)
        found = found or self._difference_by_batch(traced, evaluation, False)
        if training is not None and not is_one:
            found = found or self._difference_by_batch(traced, training, True)
        if found is not None or training is None:
            return found
        if not training.draws_in_python:
            return self._difference(traced, training, True, training.args, training.outcome)
        for seed in _SEEDS:
            found = found or self._difference(
                traced, training, True, noise_like(training.args), seed=seed
            )
        return found

    def _difference(
        self,
        traced: ConvertedModel,
        of: _Recording,
        training: bool,
        args: tuple[Any, ...],
        wanted: Outcome | None = None,
        seed: int = 0,
    ) -> Difference | None:
        traced.train(training)
        self._set_mode(training)
        for path in of.batch_norms:
            traced.get_submodule(path).training = self.subject.get_submodule(path).training

        def difference_on(args: tuple[Any, ...]) -> Difference | None:
            return first_difference(
                self.subject, self.model, traced, of.graph, of.calls, args, wanted, seed
            )

        try:
            return difference_on(args)
        except Exception:  # one that only takes batches of a certain size
            return difference_on(noise_like(self.args))

    def _difference_by_batch(
        self, traced: ConvertedModel, of: _Recording, training: bool
    ) -> Difference | None:
        """Where batches of some size are treated in another way."""
        for other in of_sizes(of.args, _SIZES) if of.depends_on_batch else []:
            if not self._runs(other):
                continue
            found = self._difference(traced, of, training, other)
            if found is not None:
                reason = f"for another batch, {found.reason}"
                return replace(found, reason=reason)
        return None

    def assembled(self, evaluation: _Recording, training: _Recording | None) -> Trace:
        """The graphs on a copy that shares the tensors of the user's model."""
        self._set_mode(training=True)
        frozen = {name for name, module in self.subject.named_modules() if not module.training}
        root = copy_sharing_tensors(self.model)
        made = self._model_on(root, evaluation, training, frozen)
        return Trace(made, self.notes, dict(self.whole))

    def _model_on(
        self,
        root: nn.Module,
        evaluation: _Recording,
        training: _Recording | None,
        frozen: set[str] = frozenset(),  # type: ignore[assignment]
    ) -> ConvertedModel:
        for name, item in self.added.items():
            _install(root, name, item)
        other = training.graph if training is not None else evaluation.graph
        made = ConvertedModel(root, evaluation.graph, None if other is evaluation.graph else other)
        made.freeze(frozen)
        for path in evaluation.batch_norms:
            made.set_submodule(path, plain_batch_norm(root.get_submodule(path)))
        return made


def _install(root: nn.Module, name: str, item: Any) -> None:
    owner, _, leaf = name.rpartition(".")
    if isinstance(item, Tensor):
        root.get_submodule(owner).register_buffer(leaf, item, persistent=False)
    else:
        root.get_submodule(owner).add_module(leaf, item)


def _frozen_by_hand(model: nn.Module) -> list[str]:
    """Modules that the user put in evaluation although the model is in training."""
    if not model.training:
        return []
    return [name for name, module in model.named_modules() if name and not module.training]


def _input_names(model: nn.Module, count: int) -> list[str]:
    try:
        parameters = [*inspect.signature(model.forward).parameters.values()]
    except (TypeError, ValueError):
        parameters = []
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [each.name for each in parameters if each.kind in named][:count]
    return names + [f"input_{index}" for index in range(len(names), count)]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
