"""A recording of what a model's ``forward`` calls, as a graph.

The model runs on its example, for real. Every function of torch that it calls becomes a node, and
so does every call of a module that is kept whole. Whatever Python does in between (branches on
shapes, loops, assertions, attributes) just happens. What cannot be recorded is a number that is
read from a tensor, since another batch would give another one: the module that reads it is named
by :class:`Untraceable`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from qat.graph.tracing.batch_norms import is_plain_call
from qat.graph.tracing.dims import SizeNodes
from qat.graph.tracing.nodes import TensorNodes, Untraceable, WholeFunction, name_of
from qat.graph.tracing.seams import (
    autograd_functions_seen,
    buffers_seen,
    lengths_seen,
    modules_seen,
    scripted_functions_seen,
)
from qat.graph.tracing.values import (
    has_tensors,
    plain,
    tensors_in,
    told_apart,
)

#: Methods of tensors that Python's operators call, as those operators.
OPERATORS: Mapping[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "matmul": operator.matmul,
    "pow": operator.pow,
    "add_": operator.iadd,
    "sub_": operator.isub,
    "mul_": operator.imul,
    "div_": operator.itruediv,
    "__getitem__": operator.getitem,
    "__setitem__": operator.setitem,
}
_OPERANDS = {"__setitem__": 3}
#: Functions that read numbers out of a tensor.
READERS = frozenset(
    "item tolist numpy __array__ __bool__ __int__ __float__ __index__ __complex__ __contains__ "
    "is_nonzero equal allclose data_ptr".split()
)
#: Functions that are called and leave no trace.
UNRECORDED = frozenset(
    "__repr__ __format__ __hash__ __len__ _assert manual_seed requires_grad is_grad_enabled "
    "storage_offset".split()
)
#: Functions that act on what is called afterwards.
SWITCHES = frozenset({"_set_grad_enabled"})


class Recorder(TorchFunctionMode):
    """Records what is called within its block.

    Args:
        model: runs within the block; its modules are looked up by identity.
        is_leaf: whether a module is kept whole, by module and path.
        added: gets the tensors and modules that the graph names and the model does not have.

    Attributes:
        graph: the nodes; ``meta`` of each has ``scope``, the path of the module whose ``forward``
            made the call, ``tensor_meta``, and ``of_input``, whether the input flows into it.
        batch_norms: paths of modules whose batch norm is computed by the plain module of torch.
        failed_in: path of the module whose ``forward`` raised, if one did.
        depends_on_batch: whether Python went its way by something that another batch may change:
            a comparison of batch sizes, a number computed from one, how many values are selected.
        calls: for each call of a module that is not kept whole, in the order of their ends: its
            path and the node of the first tensor that it gave.
    """

    def __init__(
        self, model: nn.Module, is_leaf: Callable[[nn.Module, str], bool], added: dict[str, Any]
    ) -> None:
        super().__init__()
        self.graph = fx.Graph()
        self.calls: list[tuple[str, fx.Node | None]] = []
        self._model = model
        self._is_leaf = is_leaf
        self._paths = {module: name for name, module in reversed([*model.named_modules()])}
        self._scopes = [""]
        self._nodes = TensorNodes(model, self.graph, added, lambda: self._scopes[-1])
        self._sizes = SizeNodes(self.graph, lambda: self._scopes[-1])
        self._switches = _switches()
        self.failed_in = ""
        self.depends_on_batch = False
        self.batch_norms: set[str] = set()

    # --- running ---

    def run(self, args: tuple[Any, ...], names: list[str]) -> Any:
        """Run the model on ``args``; the graph is complete afterwards.

        Args:
            args: tensors, or lists, tuples, dicts of them, as ``forward`` takes them.
            names: of the graph's inputs, one for each of ``args``.
        Returns:
            What the model gives.
        Raises:
            Untraceable: see there.
        """
        for name, arg in zip(names, args, strict=True):
            self._nodes.made(self.graph.placeholder(name), arg)
        with (
            modules_seen(self._call_module),
            buffers_seen(self._assign_buffer),
            lengths_seen(self._length),
            scripted_functions_seen(self._call_whole),
            autograd_functions_seen(self._call_whole),
            torch.compiler.set_stance("force_eager"),
            self,
        ):
            result = self._model(*args)
        self.graph.output(self._nodes.argument(result))
        self._sizes.drop_unused()
        return result

    def _call_module(self, original: Any, module: nn.Module, args: Any, kwargs: Any) -> Any:
        path = self._paths.get(module)
        if path is None or not self._is_recording():
            return original(module, *args, **kwargs)
        if path and self._is_leaf(module, path):
            with torch.overrides._pop_mode_temporarily():
                return self._called("call_module", path, partial(original, module), args, kwargs)
        self._scopes.append(path)
        try:
            result = original(module, *args, **kwargs)
        except Exception:
            self.failed_in = self.failed_in or path
            raise
        finally:
            self._scopes.pop()
        self.calls.append((path, self._nodes.first_node(result)))
        return result

    def _is_recording(self) -> bool:
        return self in torch.overrides._get_current_function_mode_stack()

    def _call_whole(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call a function that torch functions inside of are not to be seen of, as a module."""
        if not self._is_recording():
            return function(*args, **kwargs)
        name = self._nodes.add("_function", WholeFunction(function))
        with torch.overrides._pop_mode_temporarily():
            return self._called("call_module", name, function, args, kwargs)

    def _length(self, x: Tensor) -> int:
        return x.size(0) if x.dim() > 0 and self._is_recording() else x.__len__()

    def _assign_buffer(self, module: nn.Module, name: str, value: Tensor) -> bool:
        """Write ``value`` into the buffer, which the graph can do; whether that is done."""
        if module not in self._paths or not self._is_recording():
            return False
        buffer = module._buffers[name]
        if buffer is value:
            return True
        if buffer is None or buffer.shape != value.shape or buffer.dtype != value.dtype:
            raise self._untraceable(f"forward replaces the buffer {name!r} by one of another kind")
        buffer.copy_(value.detach())
        return True

    # --- recording functions ---

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name, func = name_of(func), _unwrapped(func)
        if name in UNRECORDED:
            return func(*plain(args), **plain(kwargs))
        if _switches() != self._switches:
            raise self._untraceable("forward switches autocast or inference mode")
        if name in READERS:
            return self._read(name, func, args, kwargs)
        if name in ("shape", "size", "numel", "nelement"):
            return self._sized(name, func, args, kwargs)
        if name == "__set__" and func.__self__.__name__ == "data":
            raise self._untraceable("forward puts other data into a tensor")
        if name == "register_hook":
            raise self._untraceable("forward registers a hook on a tensor")
        if name == "__iter__":
            if self._nodes.node(args[0]).meta.get("counted", False):
                raise self._untraceable("forward loops over values that are selected")
            return iter(self._called("call_method", "unbind", Tensor.unbind, (args[0], 0), {}))
        if func is F.batch_norm:
            return self._batch_norm(args, kwargs)
        if _is_getter(func):
            target, given = getattr, (args[0], name)
            return self._called("call_function", target, func, args, kwargs, recorded=given)
        if getattr(Tensor, name, None) == func:
            if name in OPERATORS and len(args) == _OPERANDS.get(name, 2) and not kwargs:
                return self._called("call_function", OPERATORS[name], func, args, kwargs)
            return self._called("call_method", name, func, args, kwargs)
        return self._called("call_function", func, func, args, kwargs)

    def _batch_norm(self, args: Any, kwargs: Any) -> Any:
        """A batch norm; where a subclass of torch's computes as that does, the plain module of it.

        Its other parts (an activation function, a dropout) are seen by themselves.
        """
        function = partial(F.batch_norm, *args, **kwargs)
        bound = signature(F.batch_norm).bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        module: Any = self._model.get_submodule(self._scopes[-1])
        if not is_plain_call(module, given):
            return self._called("call_function", F.batch_norm, F.batch_norm, args, kwargs)
        if module.num_batches_tracked is not None:
            self._forget_changes(module.num_batches_tracked)
        self.batch_norms.add(self._scopes[-1])
        scope = self._scopes[-1]
        return self._called("call_module", scope, lambda x: function(), (given["input"],), {})

    def _forget_changes(self, tensor: Tensor) -> None:
        """Drop the nodes that computed what is in an attribute now, where nothing reads them."""
        node = self._nodes.node(tensor)
        self._drop_unused(node)
        self._nodes.forget(tensor)

    def _drop_unused(self, node: fx.Node) -> None:
        if node.op in ("get_attr", "placeholder") or node.users:
            return
        inputs = node.all_input_nodes
        self.graph.erase_node(node)
        for each in inputs:
            self._drop_unused(each)

    def _called(
        self,
        op: str,
        target: Any,
        function: Callable[..., Any],
        args: Any,
        kwargs: Any,
        recorded: tuple[Any, ...] | None = None,
    ) -> Any:
        """Call ``function`` and record it, with ``recorded`` as arguments where they differ."""
        tensors = [*tensors_in((args, kwargs))]
        before = [tensor._version for tensor in tensors]
        # First, since the call may change what the arguments are read from.
        node_args = tuple(map(self._nodes.argument, args if recorded is None else recorded))
        node_kwargs = {key: self._nodes.argument(arg) for key, arg in kwargs.items()}
        result = function(*plain(args), **plain(kwargs))
        changed = [t for t, version in zip(tensors, before, strict=True) if t._version != version]
        gives = has_tensors(result)
        if not gives and not changed and op != "call_module" and name_of(target) not in SWITCHES:
            return result  # a dtype, a flag
        if not gives and result is not None and op == "call_module":
            raise self._untraceable(f"{target} gives no tensors")
        node = self.graph.create_node(op, target, node_args, node_kwargs)
        result = told_apart(result, tensors, changed)
        if changed:
            node.meta["aliases"] = self._nodes.aliases(changed)
        self._nodes.made(node, result)
        return result

    # --- reading numbers ---

    def _read(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        for tensor in tensors_in((args, kwargs)):
            meta = self._nodes.node(tensor).meta
            self.depends_on_batch |= meta.get("varies", False)
            if not meta.get("fixed", False):
                does = "branches on" if name == "__bool__" else "reads numbers from"
                raise self._untraceable(f"forward {does} the values of a tensor")
        return func(*plain(args), **plain(kwargs))

    def _sized(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        sizes = func(*plain(args), **plain(kwargs))
        if args[0].is_nested:
            return sizes
        node = self._nodes.node(args[0])
        counted = node.meta.get("counted", False)
        self.depends_on_batch |= counted  # for i in range(count), of which nobody is told
        compared = self._count_compared if counted else self._batch_compared
        axis = kwargs.get("dim", args[1] if name == "size" and len(args) > 1 else None)
        if axis is not None:
            axis = range(args[0].dim())[axis]
        return self._sizes.traced(sizes, node, compared, axis)

    def _batch_compared(self) -> None:
        self.depends_on_batch = True

    def _count_compared(self) -> None:
        raise self._untraceable("forward branches on how many values are selected")

    def _untraceable(self, reason: str) -> Untraceable:
        return Untraceable(self._scopes[-1], reason)


def _unwrapped(function: Any) -> Any:
    """The method of tensors that an operator such as ``**`` calls."""
    inside = getattr(function, "__wrapped__", None)
    is_method = inside is not None and getattr(Tensor, name_of(inside), None) == inside
    return inside if is_method else function


def _is_getter(function: Any) -> bool:
    return getattr(function, "__name__", "") == "__get__"


def _switches() -> tuple[bool, ...]:
    return torch.is_autocast_enabled("cpu"), torch.is_inference_mode_enabled()
