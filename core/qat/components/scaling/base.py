"""Base of the scalings: from a stored number to a scale."""

from typing import Any, Optional, Tuple, Union

import torch
from torch import Tensor, nn

from qat import jit
from qat.components.clamp import ScalarClampMinSte
from qat.components.restrict import FloatRestrictValue, SignedFloatRestrictValue
from qat.ops import keep_from_zero, positive_ste

SCALAR_SHAPE: Tuple[int, ...] = ()


class _RestrictValue(nn.Module):
    def __init__(self, restrict_value_impl: nn.Module) -> None:
        super().__init__()
        self.restrict_value_impl = restrict_value_impl

    def forward(self, x: Tensor) -> Tensor:
        return self.restrict_value_impl(x)


class _SignedClampMin(nn.Module):
    def __init__(self, min_val: float) -> None:
        super().__init__()
        self.min_val = float(min_val)

    def forward(self, x: Tensor) -> Tensor:
        return keep_from_zero(x, self.min_val)


class _ClampValue(nn.Module):
    def __init__(self, scaling_min_val: Optional[float], keeps_sign: bool = False) -> None:
        super().__init__()
        clamp = _SignedClampMin if keeps_sign else ScalarClampMinSte
        self.clamp_min_ste: nn.Module = (
            nn.Identity() if scaling_min_val is None else clamp(scaling_min_val)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.clamp_min_ste(x)


class PositiveScale(nn.Module):
    """Stored number -> restricted -> absolute value -> clamped from below.

    With ``keeps_sign``, which ``SignedFloatRestrictValue`` brings, it is the magnitude that is
    clamped, and the sign stays.
    """

    def set_restriction(
        self, restrict_scaling_impl: Optional[nn.Module], scaling_min_val: Optional[float]
    ) -> None:
        """Choose the set and the lower bound of scales; any float, and none, where None."""
        restrict = _given_or_float(restrict_scaling_impl)
        self.restrict_scaling = _RestrictValue(restrict)
        self.keeps_sign = type(restrict) is SignedFloatRestrictValue
        self.clamp_scaling = _ClampValue(scaling_min_val, self.keeps_sign)
        self.is_unrestricted = type(restrict) is FloatRestrictValue
        self.smallest = 0.0 if scaling_min_val is None else float(scaling_min_val)

    def preprocess(self) -> nn.Module:
        """A module for the way back: from a wanted scale to the number to store."""
        restrict: Any = self.restrict_scaling.restrict_value_impl
        module: nn.Module = restrict.preprocess()
        return module

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


def lower_bound(
    scaling_min_val: Optional[float], restrict_scaling_impl: Optional[nn.Module]
) -> nn.Module:
    """The clamp of a scale, or of its magnitude where the restriction keeps the sign."""
    keeps_sign = type(restrict_scaling_impl) is SignedFloatRestrictValue
    return _ClampValue(scaling_min_val, keeps_sign)


def _given_or_float(restrict_scaling_impl: Optional[nn.Module]) -> nn.Module:
    return FloatRestrictValue() if restrict_scaling_impl is None else restrict_scaling_impl


def initial_value(
    init: Union[float, Tensor], shape: Optional[Tuple[int, ...]], prefix: str
) -> Tensor:
    """``init`` as a float tensor of ``shape``, or of its own; a copy.

    Raises:
        ValueError: it does not fit; the text names ``<prefix>_init`` and ``<prefix>_shape``.
    """
    start = torch.as_tensor(init).detach().clone()
    if not start.is_floating_point():
        start = start.to(torch.get_default_dtype())
    if shape is None:
        return start
    if start.numel() == 1:
        return start.reshape(()).expand(shape).clone()
    if start.numel() != torch.Size(shape).numel():
        raise ValueError(
            f"{prefix}_init has shape {tuple(start.shape)} but {prefix}_shape is {tuple(shape)}; "
            f"give one value, or one per entry of {prefix}_shape."
        )
    return start.reshape(shape)
