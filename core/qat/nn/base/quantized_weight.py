"""Base of every layer with a quantized weight."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from qat.enums import Site
from qat.inject import ExtendedInjector
from qat.nn.base.checks import check_float_class, check_names
from qat.nn.base.make_proxy import Quantizer, accepted_by, make_proxy, with_prefix
from qat.proxy import PROXIES, QuantProxy, WeightQuantProxyFromInjector
from qat.quantizers import Int8WeightPerTensorFloat
from qat.tensor import QuantTensor

_DEFAULTS: Mapping[Site, Quantizer] = {Site.WEIGHT: Int8WeightPerTensorFloat}


class QuantizedWeight(nn.Module):
    """Mixin in front of a float layer with a ``weight``; holds one proxy per site.

    Args:
        args: those of the float layer, which also takes its keyword arguments.
        return_quant_tensor: give a ``QuantTensor`` in place of a plain tensor.
        kwargs: ``weight_quant`` and those of the other sites, each a quantizer, a proxy to share,
            or None; and, starting with the name of a site, attributes that replace those of that
            quantizer: ``weight_bit_width=4``.
    Raises:
        TypeError, ValueError: an argument that neither the float layer nor a quantizer takes.
    """

    float_class: type[nn.Module]
    #: Arguments of the float layer's constructor that it keeps under the same name.
    constants: tuple[str, ...]
    #: Dimension of ``weight`` that counts output channels.
    output_channel_dim = 0
    #: Where quantizers sit.
    sites: tuple[Site, ...] = (Site.WEIGHT,)
    weight: Tensor
    weight_quant: WeightQuantProxyFromInjector
    return_quant_tensor: bool

    def __init__(self, *args: Any, return_quant_tensor: bool = False, **kwargs: Any) -> None:
        given = [
            x.__name__ for x in args if isinstance(x, type) and issubclass(x, ExtendedInjector)
        ]
        if given:  # torch's layer would take it for a flag, such as bias
            raise TypeError(
                f"{type(self).__name__}: {given[0]} is given by position, where the float layer's "
                f"own arguments are; give it by name, as weight_quant={given[0]}."
            )
        float_arguments = accepted_by(self.float_class, kwargs)
        rest = {name: item for name, item in kwargs.items() if name not in float_arguments}
        super().__init__(*args, **float_arguments)
        self._set_quantizers(rest, return_quant_tensor)

    @classmethod
    def from_float(cls, layer: nn.Module, **quantizers: Any) -> Any:
        """The quantized layer in place of ``layer``: the same parameters, not copies.

        Args:
            layer: of the class that this one quantizes.
            quantizers: ``weight_quant`` and the other keyword arguments of the constructor.
        Raises:
            TypeError: ``layer`` is of another class.
        """
        check_float_class(cls.__name__, layer, cls.float_class)
        made = cls(**cls._arguments_of(layer), weight_quant=None, device="meta")
        made.weight = layer.weight  # type: ignore[assignment]
        if hasattr(layer, "bias"):
            made.bias = layer.bias
        made.train(layer.training)
        made._set_quantizers(quantizers, quantizers.pop("return_quant_tensor", False))
        return made

    @classmethod
    def _arguments_of(cls, layer: nn.Module) -> dict[str, Any]:
        arguments = {name: getattr(layer, name) for name in cls.constants}
        return (
            {**arguments, "bias": layer.bias is not None} if hasattr(layer, "bias") else arguments
        )

    def _set_quantizers(self, arguments: dict[str, Any], return_quant_tensor: bool) -> None:
        given = {site: arguments.get(f"{site}_quant", _DEFAULTS.get(site)) for site in self.sites}
        overrides = {
            name: item
            for name, item in arguments.items()
            if name not in [f"{site}_quant" for site in self.sites]
        }
        check_names(type(self).__name__, overrides, [f"{site}_" for site in self.sites])
        self.return_quant_tensor = return_quant_tensor
        for site in self.sites:
            own = with_prefix(f"{site}_", overrides)
            proxy = make_proxy(self, given[site], PROXIES[site.role], own, f"{site}_quant")
            setattr(self, f"{site}_quant", proxy.train(self.training))

    def quant_weight(self) -> QuantTensor:
        """The weight as it is used, with its grid where it is quantized."""
        return self.weight_quant(self.weight)

    def quant_weight_scale(self) -> Tensor | None:
        """Scale of the weight quantizer, or None where the weight is not quantized."""
        return self.quant_weight().scale

    def proxies(self) -> dict[Site, QuantProxy]:
        """The layer's proxies by site."""
        return {site: getattr(self, f"{site}_quant") for site in self.sites}

    def has_quantizers(self) -> bool:
        """Whether the layer quantizes anything at all."""
        return any(proxy.is_quant_enabled for proxy in self.proxies().values())
