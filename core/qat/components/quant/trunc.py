"""Truncation: the integers of an accumulator lose their low bits."""

from typing import Optional, Tuple, Union

from torch import Tensor, nn

from qat import jit
from qat.components.clamp import TensorClamp
from qat.components.delay import DelayWrapper
from qat.components.scaling.trunc import TruncMsbScaling
from qat.components.stats import widened
from qat.ops import max_int, min_int, round_ste


class TruncIntQuant(jit.ScriptModule):
    """From one integer grid to a coarser one: a shift to the right, then saturation.

    ``q = clamp(float_to_int(q_in / t), qmin, qmax)`` with ``q_in = round(x / scale) + zero_point``
    and ``t`` from ``trunc_scaling_impl``, ``2**(input_bit_width - bit_width)`` unless given. Scale
    and zero point follow, ``scale * t`` and ``zero_point / t``: the latter as it is, so that the
    values stay where they were also where it is no integer.

    Called ``(x, scale, zero_point, input_bit_width, signed)``: ``x`` on the grid that these
    describe, all broadcastable to it; ``signed`` a bool (or a tensor holding one, which is read),
    of the output too. Computed in float32 or wider, which holds integers of 24 bits.

    Args:
        float_to_int_impl: ``FloorSte()`` drops the low bits, ``RoundSte()`` rounds by them.
        bit_width_impl: called without argument, gives the bit width of the output.
        trunc_scaling_impl: gives ``t``, see :mod:`qat.components.scaling.trunc`.
        narrow_range: drop the most negative value (signed) or the largest one (unsigned).
        tensor_clamp_impl: clamping module; ``TensorClamp()`` unless given.
        quant_delay_steps: training calls before truncation starts.
    Returns:
        ``(y, scale, zero_point, bit_width)``, each in the dtype that it came in.
    Gradient: with ``TensorClamp``, to ``x`` that of the identity inside the output's grid and zero
    outside; to ``scale`` the change of ``y`` with the integers of ``x`` as they follow from it, as
    in :class:`qat.components.IntQuant`.
    """

    def __init__(
        self,
        float_to_int_impl: nn.Module,
        bit_width_impl: nn.Module,
        trunc_scaling_impl: Optional[nn.Module] = None,
        narrow_range: bool = False,
        tensor_clamp_impl: Optional[nn.Module] = None,
        quant_delay_steps: int = 0,
    ) -> None:
        super().__init__()
        scaling = trunc_scaling_impl
        self.float_to_int_impl = float_to_int_impl
        self.msb_clamp_bit_width_impl = bit_width_impl
        self.trunc_scaling_impl = TruncMsbScaling() if scaling is None else scaling
        self.tensor_clamp_impl = TensorClamp() if tensor_clamp_impl is None else tensor_clamp_impl
        self.delay_wrapper = DelayWrapper(quant_delay_steps)
        self.narrow_range = narrow_range

    def forward(
        self,
        x: Tensor,
        scale: Tensor,
        zero_point: Tensor,
        input_bit_width: Tensor,
        signed: Union[bool, Tensor],
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        is_signed = bool(signed.item()) if isinstance(signed, Tensor) else signed
        wide_scale, wide_zero_point = widened(scale), widened(zero_point)
        bit_width = self.msb_clamp_bit_width_impl()
        bits = widened(bit_width)
        # what precision has left between the integers is not to be rounded down a whole step
        q_in = round_ste(widened(x) / wide_scale + wide_zero_point)
        t = self.trunc_scaling_impl(q_in, input_bit_width, bits, is_signed)
        q = self.tensor_clamp_impl(
            self.float_to_int_impl(q_in / t),
            min_int(is_signed, self.narrow_range, bits).to(q_in.dtype),
            max_int(is_signed, self.narrow_range, bits).to(q_in.dtype),
        )
        out_scale, out_zero_point = wide_scale * t, wide_zero_point / t
        y = ((q - out_zero_point) * out_scale).to(x.dtype)
        y = self.delay_wrapper(x, y)
        return y, out_scale.to(scale.dtype), out_zero_point.to(zero_point.dtype), bit_width
