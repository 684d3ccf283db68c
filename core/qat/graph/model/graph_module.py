"""Graph modules in which the user's parts may have any name.

``fx.GraphModule`` keeps its own things as attributes (``graph``, ``code``, ``meta``) and writes
``self.NAME`` into its code, so a part of such a name, or one called as a keyword of Python
(``ModuleDict({"in": ...})``), ends it in an internal error. Here such an attribute is that of
``fx``, as always, while the part is what :meth:`QuantGraphModule.get_submodule`, the graph, the
code and the state dict find under the name.
"""

import keyword
import re
from typing import Any

from torch import Tensor, fx, nn
from torch.fx import graph_module as fx_graph_module
from torch.fx.graph import CodeGen, PythonCode

#: Names that ``fx.GraphModule``, and what is derived from it here, take for themselves.
NAMES_OF_FX = (
    (frozenset(dir(fx.GraphModule)) - frozenset(dir(nn.Module)))
    | frozenset(vars(fx.GraphModule(nn.Module(), fx.Graph()))) - frozenset(vars(nn.Module()))
    | {"graphs", "freeze", "_training_graph", "_frozen"}
)


class QuantGraphModule(fx.GraphModule):
    """A graph module whose parts keep the names that the user gave them.

    Args:
        root: the module that the targets of ``graph`` are names in.
        graph: what to compute; taken over, not copied.
        class_name: name of the class, for messages.
    """

    def __init__(self, root: nn.Module, graph: fx.Graph, class_name: str = "GraphModule") -> None:
        super().__init__({}, fx.Graph(), class_name)
        self.training = root.training
        targets = [str(node.target) for node in graph.nodes if _has_target(node)]
        if isinstance(root, fx_graph_module._CodeOnlyModule):  # from pickle, or a deep copy
            targets = [*root._modules, *root._buffers, *root._parameters, *targets]
        for target in targets:
            take_over(root, self, target)
        self.graph = graph
        tracer = graph._tracer_cls
        if tracer is not None and "<locals>" not in tracer.__qualname__:
            self._tracer_cls = tracer
        self._tracer_extras = graph._tracer_extras or {}

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in NAMES_OF_FX:
            super().__setattr__(name, value)
        elif isinstance(value, nn.Module):
            self._modules[name] = value
        elif isinstance(value, nn.Parameter):
            self._parameters[name] = value
        else:
            object.__setattr__(self, name, value)

    def get_submodule(self, target: str) -> nn.Module:
        found = attribute(self, target)
        if not isinstance(found, nn.Module):
            raise AttributeError(f"{target!r} is not an nn.Module")
        return found

    def get_parameter(self, target: str) -> nn.Parameter:
        found = attribute(self, target)
        if not isinstance(found, nn.Parameter):
            raise AttributeError(f"{target!r} is not an nn.Parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        parent, _, name = target.rpartition(".")
        found = self.get_submodule(parent)._buffers.get(name)
        if found is None:
            raise AttributeError(f"{target!r} is not a buffer")
        return found

    def set_submodule(self, target: str, module: nn.Module, strict: bool = False) -> None:
        if strict:
            self.get_submodule(target)
        parent, _, name = target.rpartition(".")
        setattr(self.get_submodule(parent), name, module)

    def add_submodule(self, target: str, m: nn.Module) -> bool:
        owner: nn.Module = self
        *parents, name = target.split(".")
        for parent in parents:
            if owner._modules.get(parent) is None:
                setattr(owner, parent, nn.Module())
            owner = owner._modules[parent]  # type: ignore[assignment]
        setattr(owner, name, m)
        return True

    def delete_submodule(self, target: str) -> bool:
        parent, _, name = target.rpartition(".")
        try:
            owner = self.get_submodule(parent)
        except AttributeError:
            return False
        return owner._modules.pop(name, None) is not None

    def recompile(self) -> PythonCode:
        prepare(self._graph)
        return super().recompile()


def prepare(graph: fx.Graph) -> None:
    """Let the code of ``graph`` say the names of all parts."""
    for node in graph.nodes:
        if node.name == "self":  # a part of that name; the code has another ``self``
            node._rename("self_")
    if _odd_targets(graph) and type(graph._codegen) is CodeGen:
        graph.set_codegen(_CodeGen())


def lint(graph: fx.Graph) -> None:
    """``graph.lint()``, where it can find the targets by itself."""
    if not any(target.partition(".")[0] in NAMES_OF_FX for target in _odd_targets(graph)):
        graph.lint()


def attribute(root: nn.Module, target: str) -> Any:
    """What ``target`` names in ``root``: a part, parameter or buffer before an attribute.

    Raises:
        AttributeError: there is none.
    """
    found: Any = root
    for name in target.split(".") if target else ():
        found = _own(found, name)
    return found


def _own(owner: Any, name: str) -> Any:
    if isinstance(owner, nn.Module):
        for held in (owner._modules, owner._parameters, owner._buffers):
            if held.get(name) is not None:
                return held[name]
    return getattr(owner, name)


def take_over(root: nn.Module, owner: nn.Module, target: str) -> None:
    """Put what ``target`` names in ``root`` into ``owner``, with empty modules on the way."""
    *parents, name = target.split(".")
    for parent in parents:
        source, own = _own(root, parent), owner._modules.get(parent)
        if own is source:  # taken over as a whole
            return
        if own is None:
            own = nn.Module()
            setattr(owner, parent, own)
        root, owner = source, own
    item = _own(root, name)
    if isinstance(item, Tensor) and not isinstance(item, nn.Parameter):
        owner._buffers[name] = item  # not by register_buffer, which refuses names of fx
        if name not in root._buffers or name in root._non_persistent_buffers_set:
            owner._non_persistent_buffers_set.add(name)
    else:
        setattr(owner, name, item)


def _has_target(node: fx.Node) -> bool:
    return node.op in ("get_attr", "call_module")


def _is_odd(target: str) -> bool:
    names = target.split(".")
    return names[0] in NAMES_OF_FX or any(map(keyword.iskeyword, names))


def _odd_targets(graph: fx.Graph) -> set[str]:
    targets = {str(node.target) for node in graph.nodes if _has_target(node)}
    return set(filter(_is_odd, targets))


class _CodeGen(CodeGen):
    """Writes out what ``self.NAME`` cannot say."""

    def _gen_python_code(self, nodes: Any, root_module: str, *args: Any, **kwargs: Any) -> Any:
        code = super()._gen_python_code(nodes, root_module, *args, **kwargs)
        graph = next(iter(nodes)).graph
        for target in sorted(_odd_targets(graph), key=len, reverse=True):
            written = re.escape(_written(root_module, target))
            said = _said(graph.owning_module, root_module, target)
            said = said.replace("\\", r"\\")  # as a replacement, not a pattern
            code.src = re.sub(rf"(?<![\w.]){written}(?!\w)", said, code.src)
        return code


def _written(root_module: str, target: str) -> str:
    """``target`` as ``fx`` writes it."""
    return fx.graph._format_target(root_module, target)


def _said(owner: Any, root_module: str, target: str) -> str:
    first, *names = target.split(".")
    said = root_module
    if first in NAMES_OF_FX:
        tables = {"_modules": owner._modules, "_parameters": owner._parameters}
        held = next((name for name, table in tables.items() if first in table), "_buffers")
        said = f"{said}.{held}[{first!r}]"
    else:
        names = [first, *names]
    for name in names:
        plain = name.isidentifier() and not keyword.iskeyword(name)
        said = f"{said}.{name}" if plain else f"getattr({said}, {name!r})"
    return said
