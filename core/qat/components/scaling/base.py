"""What the scaling modules share: from a stored number to a positive scale."""

from typing import Any, Optional, Tuple, Union

import torch
from torch import Tensor, nn

from qat import jit
from qat.components.restrict import (
    FloatRestrictValue,
    SignedFloatRestrictValue,
    _ClampValue,
    _RestrictValue,
)
from qat.ops import keep_from_zero, positive_ste

SCALAR_SHAPE: Tuple[int, ...] = ()


class PositiveScale(nn.Module):
    """Stored number -> restricted -> absolute value -> clamped from below.

    With ``keeps_sign``, which ``SignedFloatRestrictValue`` brings, it is the magnitude that is
    clamped, and the sign stays.
    """

    def set_restriction(self, restrict: nn.Module, scaling_min_val: Optional[float]) -> None:
        self.restrict_scaling = _RestrictValue(restrict)
        self.keeps_sign = _keeps_sign(restrict)
        self.clamp_scaling = lower_bound(scaling_min_val, restrict)
        self.is_unrestricted = type(restrict) is FloatRestrictValue
        self.smallest = 0.0 if scaling_min_val is None else float(scaling_min_val)

    def stored(self, x: Tensor) -> Tensor:
        """The number that ``x`` is quantized by, before restriction and absolute value."""
        raise NotImplementedError("a scaling defines stored()")

    def forward(self, x: Tensor) -> Tensor:
        return self.restricted(self.stored(x))

    def restricted(self, stored: Tensor) -> Tensor:
        value = stored if self.is_unrestricted else self.restrict_scaling(stored)
        if self.keeps_sign:
            return keep_from_zero(value, self.smallest)
        return positive_ste(value, self.smallest)


def reads_input(module: Any) -> bool:
    """Whether the scale or zero point that ``module`` gives depends on the tensor at hand.

    Not where it is stored (``is_stored``), nor where statistics are over or only used.
    """
    if attribute(module, "is_stored"):
        return False
    collecting = attribute(module, "collecting")
    return collecting is None or bool(module.training and collecting)


def attribute(module: Any, name: str) -> Any:
    """A plain attribute of ``module``, scripted or not; None where it has none of this name."""
    if name in module.__dict__:
        return module.__dict__[name]
    # nn.Module composes an error before it says that there is none: not for a hot path.
    return getattr(module, name, None) if jit.is_scripted(module) else None


def check_positive(scaling: Any, quantizer: nn.Module) -> None:
    """Raise ValueError where ``scaling`` gives scales of either sign."""
    if getattr(scaling, "keeps_sign", False):
        raise ValueError(
            f"the scale of a {type(quantizer).__name__} keeps its sign (restrict_scaling_type "
            f"'signed_fp'), and this arithmetic takes positive ones only; use 'fp'."
        )


def _keeps_sign(restrict: nn.Module) -> bool:
    return type(restrict) is SignedFloatRestrictValue


def lower_bound(scaling_min_val: Optional[float], restrict: nn.Module) -> nn.Module:
    """The clamp of a scale, or of its magnitude where the restriction keeps the sign."""
    return _ClampValue(scaling_min_val, _keeps_sign(restrict))


def restriction(restrict_scaling_impl: Optional[nn.Module]) -> nn.Module:
    """The restriction that is given, or none at all."""
    return FloatRestrictValue() if restrict_scaling_impl is None else restrict_scaling_impl


def initial_threshold(
    scaling_init: Union[float, Tensor], scaling_shape: Optional[Tuple[int, ...]]
) -> Tensor:
    """``scaling_init`` as a float tensor of ``scaling_shape``; ValueError unless it fits."""
    init = torch.as_tensor(scaling_init).detach().clone()
    if not init.is_floating_point():
        init = init.to(torch.get_default_dtype())
    if scaling_shape is None:
        scaling_shape = tuple(init.shape)
    shape = tuple(scaling_shape)
    if init.numel() == 1:
        return init.reshape(()).expand(shape).clone()
    if init.numel() != torch.Size(shape).numel():
        raise ValueError(
            f"scaling_init has shape {tuple(init.shape)} but scaling_shape is {shape}; "
            f"give one value, or one per entry of scaling_shape."
        )
    return init.reshape(shape)
