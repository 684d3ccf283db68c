"""One observed run of a model: every product of two tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from qat.costs.grids import MOVES, Grids, Values
from qat.costs.products import PRODUCTS
from qat.nn.modes import evaluating
from qat.proxy import QuantProxy, WeightQuantProxyFromInjector
from qat.tensor import QuantTensor

aten = torch.ops.aten

FLOAT_BITS = 32.0
#: Operations that compute nothing: they make tensors, or read a number.
_NO_WORK = frozenset(
    {
        aten.arange,
        aten.detach,
        aten.detach_,
        aten.empty,
        aten.empty_like,
        aten.empty_strided,
        aten.eye,
        aten.fill_,
        aten.full,
        aten.full_like,
        aten.lift_fresh,
        aten._local_scalar_dense,
        aten.new_empty,
        aten.new_full,
        aten.new_ones,
        aten.new_zeros,
        aten.ones,
        aten.ones_like,
        aten.scalar_tensor,
        aten._unsafe_view,
        aten.zero_,
        aten.zeros,
        aten.zeros_like,
    }
)


@dataclass
class Work:
    """What was computed inside one layer."""

    macs: int = 0
    bit_operations: float = 0.0
    input_bits: float | None = None

    def add(self, macs: int, first: Values, second: Values) -> None:
        """Count a product of two factors."""
        usual = self.input_bits or FLOAT_BITS
        bits = [values.bits or usual for values in (first, second)]
        self.macs += macs
        self.bit_operations += macs * bits[0] * bits[1]
        inputs = [b for b, v in zip(bits, (first, second), strict=True) if not v.are_weights]
        self.input_bits = max([*(inputs or bits), self.input_bits or 0.0])


@dataclass
class Observation:
    """What a run showed.

    Args:
        work: by layer, in the order in which the layers first ran; also those without products.
        others: calls and elements of the operations without products, by their names.
    """

    work: dict[str, Work] = field(default_factory=dict)
    others: dict[str, tuple[int, int]] = field(default_factory=dict)


def observe(model: nn.Module, example: Tensor, layers: Mapping[nn.Module, str]) -> Observation:
    """Run ``model`` on ``example`` in evaluation mode; every mode is restored.

    Args:
        model: float or quantized.
        example: what the model takes, on its device.
        layers: the layer that each module belongs to; a product counts for the innermost module
            that runs. Modules that are absent, those inside quantizers, are not looked into.
    """
    watch = _Watch(model)
    with evaluating(model), torch.no_grad(), _plain_operations(), _hooks(watch, layers), watch:
        model(example)
    return watch.seen


class _Watch(TorchDispatchMode):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.seen = Observation()
        self.grids = Grids()
        self.running: list[str] = [""]
        self.quantizers = 0  # how many the operation is inside of
        for parameter in model.parameters():
            self.grids.note(parameter, Values(8.0 * parameter.element_size(), are_weights=True))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.quantizers:
            return result
        product = PRODUCTS.get(func.overloadpacket)
        if product is not None:
            first, second = (self.grids.of(args[position]) for position in product.factors)
            work = self.seen.work.setdefault(self.running[-1], Work())
            work.add(product.macs(args, result), first, second)
        elif not _only_moves(func):
            self._count_other(func, result)
        self.grids.follow(func, (*args, *(kwargs or {}).values()), result)
        return result

    def _count_other(self, func: Any, result: Any) -> None:
        sizes = [x.numel() for x in tree_leaves(result) if isinstance(x, Tensor) and x.dim() > 0]
        if sizes:
            name = func.overloadpacket.__name__.strip("_")
            calls, elements = self.seen.others.get(name, (0, 0))
            self.seen.others[name] = calls + 1, elements + sizes[0]

    def enter(self, name: str) -> None:
        """A module of the layer ``name`` begins."""
        self.running.append(name)
        self.seen.work.setdefault(name, Work())

    def leave(self) -> None:
        """The module ends that began last."""
        self.running.pop()


def _only_moves(func: Any) -> bool:
    packet = func.overloadpacket
    return func.is_view or packet in MOVES or packet in _NO_WORK


@contextmanager
def _plain_operations() -> Iterator[None]:
    """Attention and recurrent layers run step by step, not as one operation of unknown content."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


@contextmanager
def _hooks(watch: _Watch, layers: Mapping[nn.Module, str]) -> Iterator[None]:
    handles: list[Any] = []
    try:
        for module, name in layers.items():
            handles += _watched(watch, module, name)
        yield
    finally:
        for handle in handles:
            handle.remove()


def _watched(watch: _Watch, module: nn.Module, name: str) -> list[Any]:
    if isinstance(module, QuantProxy):
        return _watched_quantizer(watch, module)

    def before(module: nn.Module, inputs: Any) -> None:
        watch.enter(name)
        for given in inputs:
            _note_grid(watch, given)

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        watch.leave()

    return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]


def _watched_quantizer(watch: _Watch, proxy: QuantProxy) -> list[Any]:
    are_weights = isinstance(proxy, WeightQuantProxyFromInjector)

    def before(module: nn.Module, inputs: Any) -> None:
        watch.quantizers += 1

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        watch.quantizers -= 1
        _note_grid(watch, output, are_weights)

    return [proxy.register_forward_pre_hook(before), proxy.register_forward_hook(after)]


def _note_grid(watch: _Watch, given: Any, are_weights: bool = False) -> None:
    if isinstance(given, QuantTensor) and given.bit_width is not None:
        bits = float(given.bit_width.float().mean())
        watch.grids.note(given.value, Values(bits, are_weights))
