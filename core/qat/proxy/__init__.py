"""Proxies: what a layer holds of a quantizer, one class per role."""

from .accumulator import ClampQuantProxyFromInjector as ClampQuantProxyFromInjector
from .accumulator import TruncQuantProxyFromInjector as TruncQuantProxyFromInjector
from .activation import ActQuantProxyFromInjector as ActQuantProxyFromInjector
from .base import QuantProxy as QuantProxy
from .bias import BiasQuantProxyFromInjector as BiasQuantProxyFromInjector
from .fusion import describe as describe
from .weight import WeightQuantProxyFromInjector as WeightQuantProxyFromInjector
