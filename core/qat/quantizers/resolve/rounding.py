"""Resolver of the rounding."""

from typing import Any

import torch
from torch import Tensor

from qat.components.rounding import FLOAT_TO_INT, LEARNED_ROUND
from qat.enums import FloatToIntImplType, LearnedRoundImplType, lookup
from qat.inject import ExtendedInjector, value


class RoundingResolver(ExtendedInjector):
    """Attributes ``float_to_int_impl_type`` and, for a learned one, ``learned_round_impl_type``."""

    float_to_int_impl_type = FloatToIntImplType.ROUND
    learned_round_impl_type = LearnedRoundImplType.HARD_SIGMOID

    @value
    def float_to_int_impl(float_to_int_impl_type: Any) -> Any:
        return lookup(FLOAT_TO_INT, float_to_int_impl_type, "float_to_int_impl_type")

    @value
    def learned_round_impl(learned_round_impl_type: Any) -> Any:
        return lookup(LEARNED_ROUND, learned_round_impl_type, "learned_round_impl_type")

    @value
    def learned_round_init(tracked_parameter_list: Any = None) -> Tensor:
        if tracked_parameter_list is None:
            raise ValueError(
                "float_to_int_impl_type is 'learned_round', which learns a number for each element "
                "of a parameter; for activations choose another rounding."
            )
        if len(tracked_parameter_list) > 1:
            raise ValueError(
                f"float_to_int_impl_type is 'learned_round', but {len(tracked_parameter_list)} "
                f"layers share the quantizer; give each its own, the numbers belong to one weight."
            )
        return torch.zeros_like(tracked_parameter_list[0].detach())
