"""Scales independent of the tensor: a constant, or a learned parameter."""

from typing import Any, Optional, Tuple, Union

import torch
from torch import Tensor, nn

from qat.components.buffers import StatelessBuffer
from qat.components.scaling.base import PositiveScale, initial_value


class _FixedScaling(PositiveScale):
    def __init__(
        self,
        scaling_init: Union[float, Tensor],
        scaling_shape: Optional[Tuple[int, ...]] = None,
        restrict_scaling_impl: Optional[nn.Module] = None,
        scaling_min_val: Optional[float] = None,
    ) -> None:
        super().__init__()
        self.set_restriction(restrict_scaling_impl, scaling_min_val)
        init = initial_value(scaling_init, scaling_shape, "scaling")
        self.check(init, scaling_init)
        self.value = self.kept(self.preprocess()(init))
        self.is_stored = True

    def check(self, init: Tensor, given: Union[float, Tensor]) -> None:
        """Raise ValueError unless the scale may begin at ``init``, which was ``given``."""

    def kept(self, init: Tensor) -> Any:
        """What the number to store is kept in."""
        raise NotImplementedError("a fixed scaling defines kept()")


class ConstScaling(_FixedScaling):
    """A constant scale; called with any tensor, returns it.

    Args:
        scaling_init: positive number or tensor; of any sign with ``SignedFloatRestrictValue``.
        scaling_shape: shape of the scale; that of ``scaling_init`` unless given.
        restrict_scaling_impl: restriction applied to the constant; none unless given.
        scaling_min_val: lower bound of the scale.
    Raises:
        ValueError: ``scaling_init`` is not positive, or does not fit ``scaling_shape``.
    """

    def check(self, init: Tensor, given: Union[float, Tensor]) -> None:
        if not bool(torch.all(init != 0 if self.keeps_sign else init > 0)):
            must = "not be 0" if self.keeps_sign else "be positive"
            raise ValueError(f"scaling_init is {given}; a constant scale must {must}.")

    def kept(self, init: Tensor) -> StatelessBuffer:
        return StatelessBuffer(init)

    def stored(self, x: Tensor) -> Tensor:
        return self.value()


class ParameterScaling(_FixedScaling):
    """A learned scale ``|restrict(value)|``; called with any tensor, returns it.

    Args:
        scaling_init: initial scale, number or tensor.
        scaling_shape: shape of the parameter ``value``; that of ``scaling_init`` unless given (a
            number gives a 0-dimensional parameter).
        restrict_scaling_impl: the set that the scale is restricted to; any float unless given.
        scaling_min_val: lower bound of the scale.
    Gradient: straight through restriction and bound; through the absolute value, ``sign(value)``
    with ``sign(0) = 1``.
    """

    def kept(self, init: Tensor) -> nn.Parameter:
        return nn.Parameter(init)

    def stored(self, x: Tensor) -> Tensor:
        return self.value
