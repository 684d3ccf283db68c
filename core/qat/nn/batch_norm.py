"""Batch norms as quantized scales and shifts."""

from typing import Any

import torch
from torch import nn

from qat.nn.base.checks import check_float_class
from qat.nn.base.merge_bn import of_batch_norm, scale_and_shift
from qat.nn.scale_bias import QuantScaleBias

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class _BatchNormToQuantScaleBias(QuantScaleBias):
    """A trained batch norm as it is in evaluation, with quantizers.

    ``weight / sqrt(running_var + eps)`` is the scale, ``bias - running_mean * scale`` the shift.
    Loading the state dict of a batch norm computes them; their own load as they are.

    Args:
        num_features, eps: as for the batch norm.
        keywords: quantizers and their attributes, see :class:`QuantWeightLayer`.
    Source: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 2.
    """

    batch_norm_class: type[nn.Module]
    #: ``runtime_shape`` of the scale and shift.
    shape: tuple[int, ...]

    def __init__(self, num_features: int, eps: float = 1e-5, **keywords: Any) -> None:
        super().__init__(num_features, bias=True, runtime_shape=self.shape, **keywords)
        self.eps = eps

    @classmethod
    def from_float(cls, layer: nn.Module, **quantizers: Any) -> Any:
        """The layer in place of a trained batch norm; its scale and shift are new parameters.

        Args:
            layer: batch norm of the class that this one quantizes.
            quantizers: keyword arguments of the constructor.
        Raises:
            TypeError: ``layer`` is of another class.
            ValueError: it has no running statistics.
        """
        check_float_class(cls.__name__, layer, cls.batch_norm_class)
        made = cls(layer.num_features, layer.eps, weight_quant=None, device="meta")  # type: ignore[arg-type]
        made.weight, made.bias = map(nn.Parameter, of_batch_norm(layer))
        made.train(layer.training)
        made._set_quantizers(quantizers, quantizers.pop("return_quant_tensor", False))
        return made

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(self._converted(state_dict, prefix), prefix, *args)

    def _converted(self, state_dict: Any, prefix: str) -> Any:
        """The state dict with scale and shift in place of what a batch norm holds."""
        mean, var = (state_dict.get(f"{prefix}{name}") for name in _STATISTICS[:2])
        if mean is None or var is None:
            return state_dict
        left_out = {f"{prefix}{name}" for name in _STATISTICS}
        converted = {name: item for name, item in state_dict.items() if name not in left_out}
        affine = (state_dict.get(f"{prefix}{name}") for name in ("weight", "bias"))
        with torch.no_grad():
            scale, shift = scale_and_shift(mean, var, self.eps, *affine)
        return {**converted, f"{prefix}weight": scale, f"{prefix}bias": shift}


class BatchNorm1dToQuantScaleBias(_BatchNormToQuantScaleBias):
    """``torch.nn.BatchNorm1d`` in evaluation, quantized; input [N, C] or [N, C, L].

    Loads the state dict of the batch norm, whose running statistics become scale and shift. See
    :class:`QuantWeightLayer` for the quantizers.
    """

    batch_norm_class = nn.BatchNorm1d
    shape = (1, -1, 1)


class BatchNorm2dToQuantScaleBias(_BatchNormToQuantScaleBias):
    """``torch.nn.BatchNorm2d`` in evaluation, quantized; input [N, C, H, W].

    Loads the state dict of the batch norm, whose running statistics become scale and shift. See
    :class:`QuantWeightLayer` for the quantizers.
    """

    batch_norm_class = nn.BatchNorm2d
    shape = (1, -1, 1, 1)
