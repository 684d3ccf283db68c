"""``this`` and ``value``: attributes that are computed when asked for."""

import functools
from collections.abc import Callable
from typing import Any

from qat.inject.dependencies_package import PackageThis, package_value


class This(PackageThis):
    """Path to another attribute of the same injector: ``this.scaling_shape``, ``this.sizes[0]``."""

    def __getattr__(self, name: str) -> "This":
        if name.startswith("__"):  # probes of copy, pickle, inspect and doctest
            raise AttributeError(name)
        return This(self.__expression__ + ((".", name),))

    def __getitem__(self, item: Any) -> "This":
        return This(self.__expression__ + (("[]", item),))

    def __lshift__(self, levels: int) -> "This":
        if not isinstance(levels, int) or levels <= 0:
            raise ValueError(f"this << {levels!r}: the number of levels must be a positive integer")
        return This(((".", "__parent__"),) * levels)


this = This(())


class Computed:
    """What a ``@value`` function returned, before the injector has wired it."""

    def __init__(self, result: Any) -> None:
        self.result = result


def value(function: Callable[..., Any]) -> Any:
    """Make a function an attribute that is evaluated when the injector resolves it.

    Its arguments are filled with the attributes of the same names. What it returns is wired like an
    attribute written down in the class: a class is built, a ``this`` path is followed.
    """
    if isinstance(function, type):
        return package_value(function)  # the package's own message: no classes here

    @functools.wraps(function)
    def computed(*args: Any, **kwargs: Any) -> Computed:
        return Computed(function(*args, **kwargs))

    return package_value(computed)
