"""Average pooling by truncation.

As integer hardware does it: the sum of the integers loses its low bits.
"""

from typing import Any

from torch import Tensor, nn

from qat.nn.accumulator import make_accumulator_proxy
from qat.nn.base.make_proxy import Quantizer, accepted_by
from qat.proxy import TruncQuantProxyFromInjector
from qat.quantizers import RoundTo8bit
from qat.tensor import QuantTensor, unwrap
from qat.tensor.dispatch import has_grid


class _TruncAvgPool(nn.Module):
    float_class: type[nn.Module]

    def __init__(
        self,
        *args: Any,
        trunc_quant: Quantizer = RoundTo8bit,
        return_quant_tensor: bool = True,
        **kwargs: Any,
    ) -> None:
        float_arguments = accepted_by(self.float_class, kwargs)
        rest = {name: item for name, item in kwargs.items() if name not in float_arguments}
        super().__init__(*args, **float_arguments)
        self.return_quant_tensor = return_quant_tensor
        self.trunc_quant = make_accumulator_proxy(
            self, trunc_quant, TruncQuantProxyFromInjector, rest, "trunc"
        )

    def forward(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        out: Tensor | QuantTensor = super().forward(x)
        if has_grid(x) and self.trunc_quant.is_quant_enabled:
            if not isinstance(out, QuantTensor):
                raise NotImplementedError(
                    f"{type(self).__name__} of an input {list(x.shape)} on which windows have "
                    f"different sizes, or scales: their sums have no common grid to truncate on. "
                    f"Use ceil_mode=False, an output size that divides that of the input, or "
                    f"QuantAvgPool2d, which requantizes."
                )
            out = self.trunc_quant(out)
        return out if self.return_quant_tensor else unwrap(out)


class TruncAvgPool2d(_TruncAvgPool, nn.AvgPool2d):  # type: ignore[misc]  # wider types
    """``torch.nn.AvgPool2d`` by a shift in place of a division.

    The sum of a window's ``k`` integers lies on a grid with ``scale / k`` and as many bits as it
    may need; ``trunc_quant`` drops the low ones. A plain tensor is pooled in float.

    Args:
        trunc_quant: quantizer of the sums, a proxy to share, or None; ``RoundTo8bit`` unless given.
        return_quant_tensor: give a ``QuantTensor`` where the input is one.
        kwargs: arguments of the float layer, and attributes that replace those of ``trunc_quant``:
            ``bit_width=4``, also with the prefix ``trunc_``.
    Raises:
        NotImplementedError: when called so that windows of a quantized input have no common grid.
    """

    float_class = nn.AvgPool2d


class TruncAdaptiveAvgPool2d(_TruncAvgPool, nn.AdaptiveAvgPool2d):  # type: ignore[misc]  # wider types
    """``torch.nn.AdaptiveAvgPool2d`` by a shift in place of a division.

    See :class:`TruncAvgPool2d`; all windows must have one size, as those of output size 1 have.
    """

    float_class = nn.AdaptiveAvgPool2d
