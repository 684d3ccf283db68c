"""The converted model: a graph, or one for each mode."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from torch import fx, nn
from torch.fx.graph_module import _CodeOnlyModule, _forward_from_src

from qat.components.one_pass import one_pass
from qat.graph.model.graph_module import QuantGraphModule, lint, prepare, take_over
from qat.graph.model.graph_state import graph_of_state, graph_state


class ConvertedModel(QuantGraphModule):
    """A graph module whose ``forward`` may do something else in training.

    Args:
        root: holds what the graphs name, in modules that keep their names.
        graph: of ``forward`` in evaluation.
        training_graph: of ``forward`` in training; None where it is the same.
    """

    def __init__(
        self,
        root: nn.Module,
        graph: fx.Graph,
        training_graph: fx.Graph | None = None,
    ) -> None:
        object.__setattr__(self, "_training_graph", None)  # super() makes the code
        object.__setattr__(self, "_frozen", frozenset())
        super().__init__(root, graph, type(root).__name__)
        if training_graph is not None:
            for node in training_graph.nodes:
                if node.op in ("get_attr", "call_module"):
                    take_over(root, self, str(node.target))
            self._training_graph = training_graph
            training_graph.owning_module = self
            self.recompile()
        _keep_out_of_state(root, self)
        self.train(root.training)

    @property
    def graphs(self) -> list[fx.Graph]:
        """That of evaluation, then that of training where it is another one."""
        return [self.graph] if self._training_graph is None else [self.graph, self._training_graph]

    def recompile(self) -> Any:
        """Make ``forward`` anew from the graphs, after they were changed."""
        code = super().recompile()
        made: Any = type(self)
        made.__call__ = _call  # that of torch.fx prints a traceback where forward raises
        if self._training_graph is not None:
            evaluation = made.forward
            prepare(self._training_graph)
            source = self._training_graph.python_code(root_module="self")
            training = _forward_from_src(source.src, source.globals)

            def forward(self: ConvertedModel, *args: Any, **kwargs: Any) -> Any:
                return (training if self.training else evaluation)(self, *args, **kwargs)

            made.forward = forward
        return code

    def delete_all_unused_submodules(self) -> None:
        """Delete the modules that neither graph calls or reads from."""
        called: set[str] = set()
        held: set[str] = set()
        for graph in self.graphs:
            for node in graph.nodes:
                if node.op in ("get_attr", "call_module"):
                    path = str(node.target).split(".")
                    held.update(".".join(path[:end]) for end in range(1, len(path) + 1))
                if node.op == "call_module":
                    called.add(str(node.target))
        for name, _ in [*self.named_modules(remove_duplicate=False)]:
            path = name.split(".")
            is_inside = any(".".join(path[:end]) in called for end in range(1, len(path)))
            if name and name not in held and not is_inside:
                self.delete_submodule(name)

    def lint(self) -> None:
        """Check that the graphs are whole."""
        for graph in self.graphs:
            lint(graph)

    def freeze(self, names: Iterable[str]) -> None:
        """Let these modules stay in evaluation when the model is trained."""
        self._frozen = frozenset(names)
        self.train(self.training)

    def train(self, mode: bool = True) -> ConvertedModel:
        """As for any module; what the user froze stays in evaluation."""
        super().train(mode)
        if self._frozen:
            for name, module in self.named_modules():
                module.training = module.training and name not in self._frozen
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> ConvertedModel:
        hidden = ("_graph", "_training_graph", "_code")
        held = {name: item for name, item in vars(self).items() if name not in hidden}
        root = _CodeOnlyModule(copy.deepcopy(held, memo))  # whose parts are taken over in order
        graphs = [copy.deepcopy(graph, memo) for graph in self.graphs]
        copied = _of_graphs(root, graphs, self._frozen)
        memo[id(self)] = copied
        copied.meta = dict(self.meta)
        _restore_modes(self, copied)
        return copied

    def __reduce__(self) -> Any:
        hidden = ("_graph", "_training_graph", "_code", "_frozen")
        held = {name: item for name, item in vars(self).items() if name not in hidden}
        graphs = [graph_state(graph) for graph in self.graphs]
        modes = {name: module.training for name, module in self.named_modules()}
        return _unpickled, (held, graphs, self._frozen, modes)


def _call(model: nn.Module, *args: Any, **kwargs: Any) -> Any:
    with one_pass():
        return nn.Module.__call__(model, *args, **kwargs)


def _of_graphs(root: nn.Module, graphs: list[fx.Graph], frozen: frozenset[str]) -> ConvertedModel:
    made = ConvertedModel(root, *graphs)
    made._frozen = frozen
    return made


def _unpickled(
    held: dict[str, Any], graphs: list[Any], frozen: frozenset[str], modes: dict[str, bool]
) -> ConvertedModel:
    model = _of_graphs(_CodeOnlyModule(held), [*map(graph_of_state, graphs)], frozen)
    for name, module in model.named_modules():
        module.training = modes.get(name, module.training)
    return model


def _restore_modes(source: nn.Module, copied: nn.Module) -> None:
    modes = dict(source.named_modules())
    for name, module in copied.named_modules():
        if name in modes:
            module.training = modes[name].training


def _keep_out_of_state(root: nn.Module, model: nn.Module) -> None:
    """Buffers that the user's model does not save are not saved by ``model`` either."""
    owners = dict(root.named_modules(remove_duplicate=False))
    for name, module in model.named_modules():
        source = owners.get(name)
        if source is None or source is module:
            continue
        for buffer in module._buffers:
            plain = buffer not in source._buffers
            if plain or buffer in source._non_persistent_buffers_set:
                module._non_persistent_buffers_set.add(buffer)
