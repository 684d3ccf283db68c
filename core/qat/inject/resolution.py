"""One resolution of one attribute: a walk without shared state."""

from collections.abc import Callable
from typing import Any

from qat.inject.dependencies_package import DependencyError, InjectorType
from qat.inject.markers import Computed

_SELF = "__self__"
_PARENT = "__parent__"


class Scope:
    """What ``this`` sees: reading an attribute resolves it within the resolution under way."""

    def __init__(self, resolution: "Resolution") -> None:
        self.__dict__["_resolution"] = resolution

    def __getattr__(self, name: str) -> Any:
        resolution: Resolution = self.__dict__["_resolution"]
        if name == _PARENT:
            return resolution.parent_scope()
        if name.startswith("__"):
            raise AttributeError(name)
        return resolution.resolve(name)


class Outside:
    """What ``this`` sees beyond the outermost injector: nothing that could be read."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __getattr__(self, name: str) -> Any:
        if name == _PARENT:
            return self
        raise DependencyError(self.message)


class Resolution:
    """Resolves attributes of one injector; every attribute is built once per resolution.

    Args:
        injector: the class whose attributes are wired.
        spec_of: makes the package's spec of an object returned by a ``@value`` function.
        parent: the resolution of the injector that this one is nested in.
    """

    def __init__(
        self,
        injector: Any,
        spec_of: Callable[[str, Any], Any],
        parent: "Resolution | None" = None,
    ) -> None:
        self.injector = injector
        self.spec_of = spec_of
        self.parent = parent
        self.scope = Scope(self)
        self.built: dict[str, Any] = {}
        self.chain: list[str] = []

    def resolve(self, name: str) -> Any:
        """The value of ``name``; DependencyError names injector, attribute and chain."""
        if name in self.built:
            return self.built[name]
        if name in self.chain:
            circle = " -> ".join([*self.chain[self.chain.index(name) :], name])
            raise DependencyError(
                f"{self.injector.__name__!r} has a circle in its attributes: {circle}; "
                f"give one of them a value that does not depend on the others."
            )
        spec = self.injector.__dependencies__.get(name)
        if spec is None:
            raise DependencyError(self._missing(name))
        self.chain.append(name)
        try:
            result = self._create(name, spec)
        finally:
            self.chain.pop()
        self.built[name] = result
        return result

    def parent_scope(self) -> "Scope | Outside":
        if self.parent is not None:
            return self.parent.scope
        return Outside(
            f"{self.injector.__name__!r} shifts 'this' by more levels than it is nested in "
            f"(needed by {' -> '.join(self.chain)})"
        )

    def _create(self, name: str, spec: Any) -> Any:
        nested = getattr(spec.factory, "injector", None)
        if isinstance(nested, InjectorType):
            return Resolution(nested, self.spec_of, parent=self).scope
        result, _ = spec.factory(**self._arguments(spec))
        while isinstance(result, Computed):
            result = self._wire(name, result.result)
        return result

    def _wire(self, name: str, result: Any) -> Any:
        return self._create(name, self.spec_of(name, result))

    def _arguments(self, spec: Any) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        for argument, has_default in spec.args.items():
            if argument == _SELF:
                arguments[argument] = self.scope
            elif not has_default or self.injector.__dependencies__.has(argument):
                arguments[argument] = self.resolve(argument)
        return arguments

    def _missing(self, name: str) -> str:
        message = f"{self.injector.__name__!r} can not resolve attribute {name!r}"
        if self.chain:
            message += f" (needed by {' -> '.join([*self.chain, name])})"
        return message
