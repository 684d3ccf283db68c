"""What the scaling modules share: from a stored number to a positive scale."""

from typing import Optional, Tuple, Union

import torch
from torch import Tensor, nn

from qat.components.restrict import FloatRestrictValue, _ClampValue, _RestrictValue
from qat.ops import abs_binary_sign_grad

SCALAR_SHAPE: Tuple[int, ...] = ()


class _PositiveScale(nn.Module):
    """Stored number -> restricted -> absolute value -> clamped from below."""

    def set_restriction(self, restrict: nn.Module, scaling_min_val: Optional[float]) -> None:
        self.restrict_scaling = _RestrictValue(restrict)
        self.clamp_scaling = _ClampValue(scaling_min_val)

    def restricted(self, stored: Tensor) -> Tensor:
        return self.clamp_scaling(abs_binary_sign_grad(self.restrict_scaling(stored)))


def restriction(restrict_scaling_impl: Optional[nn.Module]) -> nn.Module:
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
