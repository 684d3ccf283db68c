"""Shortcuts of eager quantizers past the calls of their parts.

Between two convolutions the caches are cold, and each Python call costs a few microseconds. So the
results of constant parts are kept, and parts that nobody watches are not called but read. This is
the one file of the components that looks into ``nn.Module``'s private state; compiled code, which
has none of these costs, does not come here.
"""

from typing import Any, Callable, Optional, TypeVar

import torch
from torch import Tensor, nn

from qat.components.bit_width import BitWidthConst
from qat.components.scaling.fixed import ConstScaling

T = TypeVar("T")


def is_in_transform() -> bool:
    """Whether ``torch.jit.trace`` or a transform of ``torch.func`` is around the call."""
    return (
        torch._C._get_tracing_state() is not None
        or torch._C._functorch.maybe_current_level() is not None
    )


def is_watched(part: nn.Module) -> bool:
    """Whether hooks wait for the calls of ``part``, which have to be made then."""
    return bool(part._forward_hooks or part._forward_pre_hooks)


def grid_of(quantizer: Any) -> Any:
    """The grid of a :class:`qat.components.RescalingIntQuant`; None where its parts are watched.

    Only looks where others call: no ``nn.Module.__getattr__``, no ``forward``.
    """
    parts = quantizer._modules
    if is_watched(parts["scaling_impl"]) or is_watched(parts["int_quant"]):
        return None
    return remembered(quantizer, parts["msb_clamp_bit_width_impl"], quantizer._grid)


def constant_of(part: nn.Module) -> Optional[Tensor]:
    """The buffer that all results of ``part`` follow from; None where there is more to it."""
    if type(part) is BitWidthConst:
        return part._modules["bit_width"]._buffers["value"]  # type: ignore[union-attr]
    if type(part) is ConstScaling and not is_watched(part):
        return part._modules["value"]._buffers["value"]  # type: ignore[union-attr]
    return None


def remembered(owner: nn.Module, part: nn.Module, compute: Callable[[], T]) -> T:
    """``compute()``, or what it gave ``owner`` the last time, where ``part`` is still the same.

    Args:
        owner: keeps one result.
        part: what the result follows from, by :func:`constant_of`. Another tensor in the place of
            its buffer, as ``Module.to`` puts there, and a change in place are noticed.
        compute: called without argument.
    """
    # What is kept lies beside a compiled graph, and would differ between two traces of TorchScript.
    if torch.compiler.is_compiling() or is_in_transform():
        return compute()
    constant = constant_of(part)
    if constant is None or constant.is_inference():  # which has no version
        return compute()
    known: Any = owner.__dict__.get("_remembered")
    if known is None or known[0] is not constant or known[1] != constant._version:
        with torch.inference_mode(False):
            known = constant, constant._version, compute()
        owner.__dict__["_remembered"] = known
    result: T = known[2]
    return result
