"""Element-wise operations of two quantized tensors."""

from torch import Tensor

from qat.nn.base.input_output_layer import QuantInputOutputLayer
from qat.nn.base.make_proxy import unwrap
from qat.tensor import QuantTensor


class QuantEltwiseAdd(QuantInputOutputLayer):
    """``x + y`` of two tensors brought to one grid first.

    Without ``output_quant`` the sum is exact: the integers add up, with as many bits as they need.
    See :class:`qat.nn.base.input_output_layer.QuantInputOutputLayer` for the arguments.
    """

    def forward(
        self, input: Tensor | QuantTensor, other: Tensor | QuantTensor
    ) -> Tensor | QuantTensor:
        left, right = self.input_quant(input), self.input_quant(other)
        if not self.return_quant_tensor:
            return unwrap(self.output_quant(unwrap(left) + unwrap(right)))
        return self._give(self.output_quant(left + right))
