"""Declarations that build objects: injectors, after the ``dependencies`` package."""

from .dependencies_package import DependencyError as DependencyError
from .extended_injector import ExtendedInjector as ExtendedInjector
from .markers import this as this
from .markers import value as value
