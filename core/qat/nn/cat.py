"""Joining quantized tensors."""

from collections.abc import Sequence

import torch
from torch import Tensor

from qat.nn.base.input_output_layer import QuantInputOutputLayer
from qat.nn.base.make_proxy import unwrap
from qat.tensor import QuantTensor


class QuantCat(QuantInputOutputLayer):
    """``torch.cat(tensor_list, dim)`` of tensors brought to one grid first.

    Without ``output_quant`` the result stays on the grid of ``input_quant``.
    See :class:`qat.nn.base.input_output_layer.QuantInputOutputLayer` for the arguments.
    """

    def forward(
        self, tensor_list: Sequence[Tensor | QuantTensor], dim: int = 1
    ) -> Tensor | QuantTensor:
        """Join along ``dim``, the channels unless given."""
        parts = [self.input_quant(x) for x in tensor_list]
        if not self.return_quant_tensor:
            parts = [unwrap(x) for x in parts]
        joined: Tensor | QuantTensor = torch.cat(parts, dim)
        return self._give(self.output_quant(joined))
