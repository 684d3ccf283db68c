"""Proxies, which hold a quantizer in a layer: one class per role."""

from qat.proxy.accumulator import ClampQuantProxyFromInjector as ClampQuantProxyFromInjector
from qat.proxy.accumulator import TruncQuantProxyFromInjector as TruncQuantProxyFromInjector
from qat.proxy.activation import ActQuantProxyFromInjector as ActQuantProxyFromInjector
from qat.proxy.base import QuantProxy as QuantProxy
from qat.proxy.bias import BiasQuantProxyFromInjector as BiasQuantProxyFromInjector
from qat.proxy.fusion import describe as describe
from qat.proxy.roles import PROXIES as PROXIES
from qat.proxy.weight import WeightQuantProxyFromInjector as WeightQuantProxyFromInjector
