"""Which role a quantizer has, by the resolver that it derives from."""

from qat.inject import ExtendedInjector
from qat.quantizers.resolve.accumulators import ClampResolver, TruncResolver
from qat.quantizers.resolve.roles import ActResolver, BiasResolver, WeightResolver

ROLES: dict[type, str] = {
    WeightResolver: "weight",
    ActResolver: "activation",
    BiasResolver: "bias",
    TruncResolver: "truncated accumulator",
    ClampResolver: "clamped accumulator",
}


def role_of(quantizer: type[ExtendedInjector]) -> str | None:
    """What ``quantizer`` quantizes; None where it derives from no resolver of a role."""
    return next((ROLES[base] for base in quantizer.__mro__ if base in ROLES), None)
