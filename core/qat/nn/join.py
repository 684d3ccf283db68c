"""Sums and concatenations of tensors that are brought to one grid first."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from qat.components.one_pass import one_pass
from qat.nn.base.checks import check_names
from qat.nn.base.make_proxy import Quantizer, make_proxy, with_prefix
from qat.nn.base.output_layer import returned
from qat.proxy import ActQuantProxyFromInjector
from qat.quantizers import Int8ActPerTensorFloat
from qat.tensor import QuantTensor, unwrap

_PREFIXES = ("input_", "output_")


class QuantInputOutputLayer(nn.Module):
    """Base of an operation on several tensors brought to one grid first.

    Args:
        input_quant: quantizer that all operands pass, so that they share a scale; 8 bit signed
            unless given, None for none.
        output_quant: quantizer of the result; 8 bit signed unless given, None for none.
        tie_input_output_quant: one quantizer for operands and result: ``input_quant``, or where
            that is None, ``output_quant``.
        return_quant_tensor: give a ``QuantTensor`` in place of a plain tensor.
        input_*, output_*: attributes that replace those of that quantizer.
    Raises:
        TypeError: another argument.
        ValueError: two different quantizers that are tied.
    """

    def __init__(
        self,
        input_quant: Quantizer = Int8ActPerTensorFloat,
        output_quant: Quantizer = Int8ActPerTensorFloat,
        tie_input_output_quant: bool = False,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        check_names(type(self).__name__, kwargs, _PREFIXES)
        self.return_quant_tensor = return_quant_tensor
        for_input, for_output = (with_prefix(prefix, kwargs) for prefix in _PREFIXES)
        if tie_input_output_quant:
            shared = self._tied(input_quant, output_quant)
            both = self._merged(for_input, for_output)
            self.input_quant = self.output_quant = self._proxy(shared, both, "input_quant")
        else:
            self.input_quant = self._proxy(input_quant, for_input, "input_quant")
            self.output_quant = self._proxy(output_quant, for_output, "output_quant")

    def _proxy(
        self, quant: Quantizer, overrides: dict[str, Any], argument: str
    ) -> ActQuantProxyFromInjector:
        return make_proxy(self, quant, ActQuantProxyFromInjector, overrides, argument)

    def _tied(self, input_quant: Quantizer, output_quant: Quantizer) -> Quantizer:
        given = [each for each in (input_quant, output_quant) if each is not None]
        chosen = [each for each in given if each is not Int8ActPerTensorFloat] or given
        if len(chosen) == 2 and chosen[0] is not chosen[1]:
            raise ValueError(
                f"{type(self).__name__}: tie_input_output_quant is True, but input_quant and "
                f"output_quant are two; give one, and None for the other."
            )
        return chosen[0] if chosen else None

    def _merged(self, for_input: dict[str, Any], for_output: dict[str, Any]) -> dict[str, Any]:
        twice = [
            name for name in for_input if for_output.get(name, for_input[name]) != for_input[name]
        ]
        if twice:
            raise ValueError(
                f"{type(self).__name__}: tie_input_output_quant is True, but input_{twice[0]} and "
                f"output_{twice[0]} differ; give one of them."
            )
        return {**for_input, **for_output}

    def _give(self, out: Tensor | QuantTensor) -> Tensor | QuantTensor:
        return returned(out, self.return_quant_tensor, self.training)


class QuantEltwiseAdd(QuantInputOutputLayer):
    """``x + y`` of two tensors brought to one grid first, or each to one of its own.

    Without ``output_quant`` the sum is exact: the integers add up, with as many bits as they need.

    Args:
        other_quant: quantizer of the second operand, for grids of their own; None for none. On one
            grid the smaller operand gets few of its steps, but the integers can be added as they
            are.
        input_quant, ...: see :class:`QuantInputOutputLayer`; ``input_quant`` is that of the first
            operand where the second has its own.
    """

    def __init__(
        self,
        input_quant: Quantizer = Int8ActPerTensorFloat,
        output_quant: Quantizer = Int8ActPerTensorFloat,
        tie_input_output_quant: bool = False,
        return_quant_tensor: bool = False,
        other_quant: Quantizer | Literal["shared"] = "shared",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_quant, output_quant, tie_input_output_quant, return_quant_tensor, **kwargs
        )
        #: Without gradients the sum may be written over the first operand: the conversion says so
        #: where the user's own addition does.
        self.overwrites_first = False
        self.other_quant = None
        if not isinstance(other_quant, str):
            self.other_quant = make_proxy(
                self, other_quant, ActQuantProxyFromInjector, {}, "other_quant"
            )
        elif other_quant != "shared":
            raise ValueError(
                f"QuantEltwiseAdd: other_quant is {other_quant!r}; give a quantizer, None, or "
                f"'shared' for that of the first operand."
            )

    def forward(
        self, input: Tensor | QuantTensor, other: Tensor | QuantTensor
    ) -> Tensor | QuantTensor:
        if self.other_quant is not None:
            left, right = self.input_quant(input), self.other_quant(other)
        else:
            with one_pass():  # the range has to hold the larger of the two
                left, right = self.input_quant(input), self.input_quant(other)
        if not self.return_quant_tensor:
            first = unwrap(left)
            # Where the quantizer gave the operand itself: others may hold what it computed.
            overwrites = self.overwrites_first and first is input and not torch.is_grad_enabled()
            total = first.add_(unwrap(right)) if overwrites else first + unwrap(right)
            return unwrap(self.output_quant(total))
        return self._give(self.output_quant(left + right))


class QuantCat(QuantInputOutputLayer):
    """``torch.cat(tensor_list, dim)`` of tensors brought to one grid first.

    Without ``output_quant`` the result stays on the grid of ``input_quant``.
    See :class:`QuantInputOutputLayer` for the arguments.
    """

    def forward(
        self, tensor_list: Sequence[Tensor | QuantTensor], dim: int = 1
    ) -> Tensor | QuantTensor:
        """Join along ``dim``, the channels unless given."""
        with one_pass():
            parts = [self.input_quant(x) for x in tensor_list]
        if not self.return_quant_tensor:
            parts = [unwrap(x) for x in parts]
        joined: Tensor | QuantTensor = torch.cat(parts, dim)
        return self._give(self.output_quant(joined))
