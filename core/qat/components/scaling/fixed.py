"""Scales that do not look at the tensor: a constant, or a learned parameter."""

from typing import Optional, Tuple, Union

import torch
from torch import Tensor, nn

from qat.components.scaling.base import PositiveScale, initial_threshold, restriction
from qat.components.stateless import StatelessBuffer


class ConstScaling(PositiveScale):
    """A constant scale; called with any tensor, returns it.

    Args:
        scaling_init: positive number or tensor; of any sign with ``SignedFloatRestrictValue``.
        scaling_shape: shape of the scale; that of ``scaling_init`` unless given.
        restrict_scaling_impl: restriction applied to the constant; none unless given.
        scaling_min_val: lower bound of the scale.
    Raises:
        ValueError: ``scaling_init`` is not positive, or does not fit ``scaling_shape``.
    """

    def __init__(
        self,
        scaling_init: Union[float, Tensor],
        scaling_shape: Optional[Tuple[int, ...]] = None,
        restrict_scaling_impl: Optional[nn.Module] = None,
        scaling_min_val: Optional[float] = None,
    ) -> None:
        super().__init__()
        restrict = restriction(restrict_scaling_impl)
        self.set_restriction(restrict, scaling_min_val)
        init = initial_threshold(scaling_init, scaling_shape)
        if not bool(torch.all(init != 0 if self.keeps_sign else init > 0)):
            must = "not be 0" if self.keeps_sign else "be positive"
            raise ValueError(f"scaling_init is {scaling_init}; a constant scale must {must}.")
        preprocess = restrict.preprocess()  # type: ignore[operator]
        self.value = StatelessBuffer(preprocess(init))
        self.is_stored = True

    def stored(self, x: Tensor) -> Tensor:
        return self.value()


class ParameterScaling(PositiveScale):
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

    def __init__(
        self,
        scaling_init: Union[float, Tensor],
        scaling_shape: Optional[Tuple[int, ...]] = None,
        restrict_scaling_impl: Optional[nn.Module] = None,
        scaling_min_val: Optional[float] = None,
    ) -> None:
        super().__init__()
        restrict = restriction(restrict_scaling_impl)
        self.set_restriction(restrict, scaling_min_val)
        preprocess = restrict.preprocess()  # type: ignore[operator]
        self.value = nn.Parameter(preprocess(initial_threshold(scaling_init, scaling_shape)))
        self.is_stored = True

    def stored(self, x: Tensor) -> Tensor:
        return self.value
