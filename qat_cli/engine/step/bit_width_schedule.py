"""Gradual bit widths: wider grids on the way to those declared."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from qat.proxy import QuantProxy
from qat_cli.engine.step.bit_widths import ROLES, BitWidths, declared_bits, quantizers
from qat_cli.recipes.schema import BitWidthConfig


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


def _is_binary(proxy: QuantProxy) -> bool:
    injector = proxy.injector
    return "wider_class" in injector or "sign_gradient_type" in injector  # type: ignore[operator]
