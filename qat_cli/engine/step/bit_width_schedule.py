"""Gradual bit widths: wider grids on the way to those that the recipe's ``quant`` declares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from qat.enums import Role
from qat.proxy import QuantProxy
from qat_cli.recipes.schema import BitWidthConfig

Named = tuple[str, QuantProxy]


@dataclass(frozen=True)
class BitWidths:
    """Least bits of weights and activations; ``None`` for those declared."""

    weight: int | None = None
    activation: int | None = None

    @classmethod
    def of(cls, steps: Sequence[BitWidthConfig], epoch: int) -> BitWidths:
        """Those of ``epoch`` (0 is the first)."""
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


def set_bit_widths(model: nn.Module, widths: BitWidths) -> list[QuantProxy]:
    """Give every quantizer of ``model`` the declared bit width or ``widths``, whichever is more.

    Returns:
        The proxies whose quantizer was built anew.
    Raises:
        ValueError: a quantizer cannot have that many bits; names it.
    """
    changed = []
    for name, proxy in quantizers(model):
        least, declared = widths.least(proxy), declared_bits(proxy)
        wanted = None if least is None or declared is None or least <= declared else least
        if wanted == proxy.bit_width_set:
            continue
        try:
            proxy.set_bit_width(wanted)
        except ValueError as error:
            raise ValueError(f"schedule.bit_widths: {name}: {error}") from error
        changed.append(proxy)
    return changed


def check_bit_widths(model: nn.Module, steps: Sequence[BitWidthConfig]) -> None:
    """Raise ValueError unless ``steps`` begin above what is declared, end there, and can be taken.

    Args:
        model: quantized as declared.
        steps: of the recipe, maybe none.
    """
    for role in ROLES:
        asked = [bits for step in steps if (bits := getattr(step, role.value)) is not None]
        if not asked:
            continue
        declared = [(declared_bits(p), name) for name, p in quantizers(model) if p.role is role]
        known = [(bits, name) for bits, name in declared if bits is not None]
        if not known:
            raise ValueError(f"schedule.bit_widths: no {role} of the model has bits to set")
        bits, name = min(known, key=lambda found: found[0])
        last = getattr(steps[-1], role.value)
        if last not in (None, bits) or max(asked) <= bits:
            raise ValueError(
                f"schedule.bit_widths takes {role} from {asked[0]} to {asked[-1]} bits, but quant "
                f"declares {bits}, at {name}; begin above that and end there"
            )
    if not steps:
        return
    for name, proxy in quantizers(model):
        if declared_bits(proxy) == 1 and proxy.is_signed and not _is_binary(proxy):
            raise ValueError(
                f"schedule.bit_widths: {name} is declared as a signed integer of 1 bit, which is "
                "-1 or 0; declare a binary quantizer, such as SignedBinaryWeightPerChannelStats"
            )
    set_bit_widths(model, BitWidths.of(steps, 0))  # what can have the widest can have the others
    set_bit_widths(model, BitWidths())


#: Whose bit widths a schedule speaks of.
ROLES = (Role.WEIGHT, Role.ACTIVATION)


def _is_binary(proxy: QuantProxy) -> bool:
    injector = proxy.injector
    return "wider_class" in injector or "sign_gradient_type" in injector  # type: ignore[operator]


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
