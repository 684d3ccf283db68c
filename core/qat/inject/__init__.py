"""Declarations that build objects: injectors, after the ``dependencies`` package."""

from qat.inject.dependencies_package import DependencyError as DependencyError
from qat.inject.extended_injector import ExtendedInjector as ExtendedInjector
from qat.inject.markers import this as this
from qat.inject.markers import value as value
