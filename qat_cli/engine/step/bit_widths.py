"""Bit widths of quantizers: those there are, those asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from qat.enums import Role
from qat.proxy import QuantProxy
from qat_cli.recipes.schema import BitWidthConfig

Named = tuple[str, QuantProxy]
#: Roles whose bit widths a schedule or a penalty speaks of.
ROLES = (Role.WEIGHT, Role.ACTIVATION)


@dataclass(frozen=True)
class BitWidths:
    """Least bits of weights and activations; ``None`` for those declared."""

    weight: int | None = None
    activation: int | None = None

    @classmethod
    def of(cls, steps: Sequence[BitWidthConfig], epoch: int) -> BitWidths:
        """The widths of ``epoch`` (0 is the first)."""
        begun = [step for step in steps if step.epoch <= epoch]
        return cls(begun[-1].weight, begun[-1].activation) if begun else cls()

    def least(self, proxy: QuantProxy) -> int | None:
        """Least bits of what ``proxy`` quantizes; ``None`` where that is left alone."""
        if proxy.role is Role.WEIGHT:
            return self.weight
        return self.activation if proxy.role is Role.ACTIVATION else None

    def __str__(self) -> str:
        parts = []
        for role, bits in (("weights", self.weight), ("activations", self.activation)):
            parts.append(f"{role} {'as declared' if bits is None else f'at least {bits}'}")
        return ", ".join(parts)


def quantizers(model: nn.Module) -> Iterator[Named]:
    """The quantizers of weights and activations in ``model``, by the name of their proxy."""
    for name, module in model.named_modules():
        if isinstance(module, QuantProxy) and module.role in ROLES:
            if module.tensor_quant is not None:
                yield name, module


def declared_bits(proxy: QuantProxy) -> int | None:
    """The bit width that the recipe declares; ``None`` where the quantizer has none to declare."""
    injector = proxy.injector
    return int(injector.bit_width) if injector is not None and "bit_width" in injector else None


def learned_bit_width(proxy: QuantProxy) -> Any:
    """The part of a quantizer that learns the bit width, called without argument; or ``None``."""
    return next((part for part in proxy.modules() if hasattr(part, "bit_width_offset")), None)


def learns_bit_widths(model: nn.Module) -> bool:
    """A quantizer of ``model`` learns its bit width."""
    return any(learned_bit_width(proxy) is not None for _, proxy in quantizers(model))
