"""Quantizer arguments of a recurrent layer.

Each of its gates gets quantizers of its own from them.
"""

from typing import Any

from torch import nn

from qat.nn.base.checks import check_names
from qat.nn.base.make_proxy import P, Quantizer, make_proxy, with_prefix
from qat.proxy import (
    ActQuantProxyFromInjector,
    BiasQuantProxyFromInjector,
    QuantProxy,
    WeightQuantProxyFromInjector,
)

#: Roles whose tensor is a part of a gate's parameters, and so different in each gate.
_PARAMETERS = ("weight", "bias")


class Declared:
    """Quantizers by role, with the keyword arguments that replace their attributes.

    Args:
        layer: the layer that they are arguments of.
        quantizers: injector, proxy or None by role: the argument ``io_quant`` is the role ``io``.
        overrides: the layer's further keyword arguments, each with a role in front.
    Raises:
        TypeError: a keyword that starts with no role.
        NotImplementedError: a proxy for weight or bias.
    """

    def __init__(
        self, layer: nn.Module, quantizers: dict[str, Quantizer], overrides: dict[str, Any]
    ) -> None:
        kind = type(layer).__name__
        prefixes = tuple(f"{role}_" for role in quantizers)
        check_names(kind, overrides, prefixes)
        for role in _PARAMETERS:
            if isinstance(quantizers[role], QuantProxy):
                raise NotImplementedError(
                    f"{kind}: {role}_quant is a proxy of another layer, but each gate quantizes "
                    f"parameters of its own; give a quantizer class."
                )
        self.layer = layer
        self.quantizers = quantizers
        self._overrides = overrides

    def act(self, role: str, function: nn.Module | None = None) -> ActQuantProxyFromInjector:
        """A proxy that applies ``function``, then the quantizer of ``role``.

        Raises:
            ValueError: the argument is a proxy that applies another function.
        """
        quant = self.quantizers[role]
        if isinstance(quant, ActQuantProxyFromInjector):
            shared = type(quant.activation_impl)
            if shared is not type(function):
                raise ValueError(
                    f"{type(self.layer).__name__}: the shared {role}_quant applies "
                    f"{shared.__name__}, not {type(function).__name__}; share it between "
                    f"activations of one kind."
                )
        return make_proxy(
            self.layer,
            quant,
            ActQuantProxyFromInjector,
            self._attributes(role),
            f"{role}_quant",
            activation_impl=function,
        )

    def weight(self, gate: nn.Module) -> WeightQuantProxyFromInjector:
        """The proxy of ``gate.weight``."""
        return self._of_gate(gate, "weight", WeightQuantProxyFromInjector)

    def bias(self, gate: nn.Module) -> BiasQuantProxyFromInjector:
        """The proxy of ``gate.bias``."""
        return self._of_gate(gate, "bias", BiasQuantProxyFromInjector)

    def _of_gate(self, gate: nn.Module, role: str, proxy_class: type[P]) -> P:
        try:
            own = self._attributes(role)
            return make_proxy(gate, self.quantizers[role], proxy_class, own, f"{role}_quant")
        except (TypeError, ValueError) as error:
            raise type(error)(f"{type(self.layer).__name__}: {error}") from error

    def _attributes(self, role: str) -> dict[str, Any]:
        return with_prefix(f"{role}_", self._overrides)
