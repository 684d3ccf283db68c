"""The proxy class of each role."""

from collections.abc import Mapping

from qat.enums import Role
from qat.proxy.accumulator import ClampQuantProxyFromInjector, TruncQuantProxyFromInjector
from qat.proxy.activation import ActQuantProxyFromInjector
from qat.proxy.base import QuantProxy
from qat.proxy.bias import BiasQuantProxyFromInjector
from qat.proxy.weight import WeightQuantProxyFromInjector

PROXIES: Mapping[Role, type[QuantProxy]] = {
    Role.WEIGHT: WeightQuantProxyFromInjector,
    Role.ACTIVATION: ActQuantProxyFromInjector,
    Role.BIAS: BiasQuantProxyFromInjector,
    Role.TRUNCATED_ACCUMULATOR: TruncQuantProxyFromInjector,
    Role.CLAMPED_ACCUMULATOR: ClampQuantProxyFromInjector,
}
