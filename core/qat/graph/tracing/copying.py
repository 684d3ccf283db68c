"""Copy of a model that shares its tensors, and nothing else.

``copy.deepcopy`` refuses models that hold a lock, an open file or a tensor with a history (the
``weight`` of ``torch.nn.utils.weight_norm``), and leaves functions that captured a module with the
old one. So the tree is copied here, object by object:

- the same object in both: parameters, registered buffers, other tensors that require a gradient or
  lie in the memory of one of these, classes, functions, and what cannot be copied;
- an object of its own: modules with all their dictionaries, hooks included, lists and the like,
  plain tensors, objects of the user's classes, graphs of ``torch.fx``;
- led to the copy: references to modules in attributes, containers, bound methods, partial
  functions and weak references, and functions that captured one.

A shared object stays shared: a module at two places is one module at two places of the copy.
``torch.compile`` is left behind: in place of a compiled function stands what was compiled.
"""

import copy
import copyreg
import functools
import types
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, fx, nn

from qat import torchscript

#: From a wrapper to the module inside and the name of the attribute that it lies in; else None.
LookThrough = Callable[[nn.Module], tuple[nn.Module, str] | None]

_ATOMS = (type(None), bool, int, float, complex, str, bytes, object, types.ModuleType)
_NOT_KEPT = frozenset({"_compiled_call_impl"})  # of module.compile(); torch drops it in copies too
_COMPILED_FROM = "_torchdynamo_orig_callable"  # where torch.compile keeps the function


def copy_sharing_tensors(model: nn.Module, look_through: LookThrough | None = None) -> nn.Module:
    """A copy of ``model`` with the same parameters and buffers; ``model`` is not changed.

    Modes, hooks, attributes and submodules of one are none of the other's. What the copy writes
    into a shared tensor, the model has too.

    Args:
        model: any module.
        look_through: finds the wrappers whose place the module inside takes. That one answers to
            the name of the wrapper's attribute too, since the model's code may use it.
    """
    return _copied(model, _Copier(look_through, lambda tensor: tensor))


def copy_with_own_tensors(model: nn.Module) -> nn.Module:
    """The same, but with copies of the parameters and buffers too."""
    return _copied(model, _Copier(None, _own))


def _own(tensor: Tensor) -> Tensor:
    made = tensor.detach().clone()
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(made, requires_grad=tensor.requires_grad)
    return made.requires_grad_(tensor.requires_grad)


def _copied(model: nn.Module, copier: "_Copier") -> nn.Module:
    # All modules first, so that a chain of references among them is no deep recursion.
    for module in list(model.modules()):
        copier.begin(module)
    made: nn.Module = copier.of(model)
    copier.finish()
    copier.copy_graphs()
    return made


class _Copier:
    """One run over a model; ``memo`` is as that of ``copy.deepcopy``, to which it is handed."""

    def __init__(
        self, look_through: LookThrough | None, tensor_of: Callable[[Tensor], Tensor]
    ) -> None:
        self._tensor_of = tensor_of
        self.memo: dict[int, Any] = {}
        self._look_through = look_through
        self._alive: list[Any] = []  # so that no id in the memo is given away
        self._begun: list[tuple[nn.Module, nn.Module]] = []
        self._with_graph: list[tuple[fx.GraphModule, Any]] = []
        self._memory: set[int] = set()

    def of(self, item: Any) -> Any:
        """The copy of ``item``, or ``item`` where it is shared."""
        if type(item) in _ATOMS or isinstance(item, type):
            return item
        if id(item) in self.memo:
            return self.memo[id(item)]
        if isinstance(item, nn.Module):
            self.begin(item)
            self.finish()
            return self.memo[id(item)]
        known = len(self.memo)
        try:
            made = _kind_of(item)(self, item)
        except Exception:  # locks, open files, generators; whatever a user's class raises
            for key in list(self.memo)[known:]:  # half made
                del self.memo[key]
            made = item
        # A tuple that holds itself was made meanwhile.
        return self.memo[id(item)] if id(item) in self.memo else self.remember(item, made)

    def begin(self, module: nn.Module) -> nn.Module:
        """The copy of ``module``, which :meth:`finish` fills."""
        if id(module) in self.memo:
            found: nn.Module = self.memo[id(module)]
            return found
        inside = None if self._look_through is None else self._look_through(module)
        if inside is not None:
            made = self.begin(inside[0])
            if not hasattr(inside[0], inside[1]):
                made.__dict__[inside[1]] = made
            return self.remember(module, made)
        self._share_tensors_of(module)
        if torchscript.is_scripted(module):
            return self.remember(module, torchscript.copy_sharing_tensors(module))
        made = _empty(module)
        self._begun.append((module, made))
        return self.remember(module, made)

    def finish(self) -> None:
        """Fill the copies that were begun."""
        while self._begun:
            module, made = self._begun.pop()
            left_out = _NOT_KEPT
            if isinstance(module, fx.GraphModule):
                self._with_graph.append((module, made))
                left_out = _NOT_KEPT | {"_graph"}
            for name, item in _state(module):
                if name not in left_out:
                    _set(made, name, self.of(item))

    def copy_graphs(self) -> None:
        """Give graph modules, whose parts are all filled, graphs and code of their own."""
        for module, made in self._with_graph:
            made.__dict__["_graph"] = copy.deepcopy(module.graph, self.memo)
            made.graph.owning_module = made
        for _, made in self._with_graph:
            made.recompile()

    def remember(self, item: Any, made: Any) -> Any:
        self._alive.append(item)
        self.memo[id(item)] = made
        return made

    def is_shared(self, tensor: Tensor) -> bool:
        """Whether ``tensor``, no parameter or buffer of a module, is the same in both."""
        trained = isinstance(tensor, nn.Parameter) or tensor.requires_grad
        return trained or not self._memory.isdisjoint(_memory(tensor))

    def _share_tensors_of(self, module: nn.Module) -> None:
        for tensor in (*module._parameters.values(), *module._buffers.values()):
            if tensor is not None:
                if id(tensor) not in self.memo:  # tied to another
                    self.remember(tensor, self._tensor_of(tensor))
                self._memory |= _memory(tensor)


def _empty(module: nn.Module) -> nn.Module:
    kind = type(module)
    if isinstance(module, fx.GraphModule):
        made: nn.Module = kind.__new__(kind)  # with a class of its own, for its forward
        made.__class__.__name__ = kind.__name__
        return made
    if "parametrizations" in module._modules and kind.__name__.startswith("Parametrized"):
        # So has one with parametrizations, for its properties: removing them changes the class.
        own = {k: v for k, v in vars(kind).items() if k not in ("__dict__", "__weakref__")}
        kind = type(kind.__name__, kind.__bases__, own)
    return object.__new__(kind)


def _state(item: Any) -> Iterator[tuple[str, Any]]:
    """Attributes of ``item``, those in slots too."""
    yield from list(vars(item).items())
    for kind in type(item).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(item, name):
                yield name, getattr(item, name)


def _set(module: nn.Module, name: str, item: Any) -> None:
    if isinstance(getattr(type(module), name, None), types.MemberDescriptorType):
        object.__setattr__(module, name, item)
    else:  # not by setattr, which registers
        module.__dict__[name] = item


def _memory(tensor: Tensor) -> set[int]:
    """Address of the tensor's memory; none where it has no memory that can be looked at."""
    try:
        return {tensor.untyped_storage().data_ptr()} - {0}
    except (RuntimeError, NotImplementedError):  # sparse, or a subclass without storage
        return set()


def _tensor(copier: _Copier, item: Tensor) -> Tensor:
    return item if copier.is_shared(item) else copy.deepcopy(item, copier.memo)


def _list(copier: _Copier, item: list[Any]) -> list[Any]:
    made: list[Any] = copier.remember(item, [])
    made.extend(map(copier.of, item))
    return made


def _dict(copier: _Copier, item: dict[Any, Any]) -> dict[Any, Any]:
    made: dict[Any, Any] = copier.remember(item, {})
    made.update((copier.of(key), copier.of(entry)) for key, entry in item.items())
    return made


def _tuple(copier: _Copier, item: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(map(copier.of, item))


def _method(copier: _Copier, item: types.MethodType) -> types.MethodType:
    return types.MethodType(item.__func__, copier.of(item.__self__))


def _weak(copier: _Copier, item: "weakref.ref[Any]") -> "weakref.ref[Any]":
    made = copier.memo.get(id(item()), None)
    return item if made is None else weakref.ref(made)


def _cached(copier: _Copier, item: Any) -> Any:
    if not _leads_to_module(item.__wrapped__, set()):
        return item
    return functools.lru_cache(**item.cache_parameters())(copier.of(item.__wrapped__))


def _function(copier: _Copier, item: Any) -> Any:
    if _COMPILED_FROM in vars(item):
        return copier.of(vars(item)[_COMPILED_FROM])
    if not _leads_to_module(item, set()):
        return item
    cells = tuple(_cell(copier, cell) for cell in item.__closure__ or ())
    made = types.FunctionType(item.__code__, item.__globals__, item.__name__, None, cells)
    copier.remember(item, made)
    for cell, own in zip(item.__closure__ or (), cells, strict=True):
        if not _is_empty(cell) and _is_empty(own):
            own.cell_contents = copier.of(cell.cell_contents)
    made.__defaults__ = copier.of(item.__defaults__)
    made.__kwdefaults__ = copier.of(item.__kwdefaults__)
    made.__qualname__, made.__module__ = item.__qualname__, item.__module__
    made.__doc__, made.__annotations__ = item.__doc__, item.__annotations__
    made.__dict__.update(copier.of(vars(item)))
    return made


def _cell(copier: _Copier, cell: types.CellType) -> types.CellType:
    if id(cell) not in copier.memo:
        copier.remember(cell, types.CellType())
    own: types.CellType = copier.memo[id(cell)]
    return own


def _is_empty(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  raises where there are none
    except ValueError:
        return True
    return False


def _leads_to_module(item: Any, seen: set[int]) -> bool:
    """Whether a function captured a module, or the way to one."""
    if isinstance(item, nn.Module):
        return True
    if id(item) in seen:
        return False
    seen.add(id(item))
    return any(_leads_to_module(part, seen) for part in _parts(item))


def _parts(item: Any) -> list[Any]:
    if isinstance(item, types.FunctionType):
        cells = [cell.cell_contents for cell in item.__closure__ or () if not _is_empty(cell)]
        known = (*vars(item).values(), *(item.__kwdefaults__ or {}).values())
        return [*cells, *(item.__defaults__ or ()), *known]
    if isinstance(item, types.MethodType):
        return [item.__self__]
    if isinstance(item, functools.partial):
        return [item.func, *item.args, *item.keywords.values()]
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]
    if isinstance(item, list | tuple | set | frozenset):
        return list(item)
    return []


def _object(copier: _Copier, item: Any) -> Any:
    """Anything else, in the way of ``copy.deepcopy``: as the object says that it is made."""
    if hasattr(item, "__deepcopy__"):
        return item.__deepcopy__(copier.memo)
    reduce = copyreg.dispatch_table.get(type(item))
    said = item.__reduce_ex__(4) if reduce is None else reduce(item)
    if isinstance(said, str):
        return item
    make, arguments, state, entries, pairs = (*said, None, None, None)[:5]
    copier._alive.append(said)
    made = copier.remember(item, make(*copier.of(arguments)))
    if state is not None:
        _restore(made, copier.of(state))
    for entry in entries or ():
        made.append(copier.of(entry))
    for key, entry in pairs or ():
        made[copier.of(key)] = copier.of(entry)
    return made


def _restore(made: Any, state: Any) -> None:
    if hasattr(made, "__setstate__"):
        made.__setstate__(state)
        return
    attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    made.__dict__.update(attributes or {})
    for name, item in (slots or {}).items():
        setattr(made, name, item)


def _ordered(copier: _Copier, item: Any) -> Any:
    """The usual case by itself: every module has a dozen of them without entries."""
    return OrderedDict() if not item and not vars(item) else _object(copier, item)


_KINDS: dict[type, Callable[[_Copier, Any], Any]] = {
    list: _list,
    dict: _dict,
    OrderedDict: _ordered,
    tuple: _tuple,
    types.FunctionType: _function,
    types.MethodType: _method,
    weakref.ref: _weak,
    type(functools.lru_cache(len)): _cached,
}


def _kind_of(item: Any) -> Callable[[_Copier, Any], Any]:
    return _tensor if isinstance(item, Tensor) else _KINDS.get(type(item), _object)
