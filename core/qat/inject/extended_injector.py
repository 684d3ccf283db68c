"""``ExtendedInjector``: a class whose attributes assemble themselves on access."""

import copyreg
import inspect
from functools import lru_cache
from typing import Any

from qat.inject.dependencies_package import DependencyError, Injector, InjectorType, package_shield
from qat.inject.resolution import Resolution


class ExtendedInjectorType(InjectorType):
    """Metaclass: reading an attribute of the class resolves it anew; the class never changes."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:
        own = {
            key: _without_arguments(key, item)
            for key, item in namespace.items()
            if key not in _WRITTEN_BY_PYTHON
        }
        if len(bases) == 1 and not any(not key.startswith("__") for key in own):
            # The package refuses an extension that changes nothing; a docstring is reason enough.
            bases = (*bases, _Nothing) if _Nothing is not None else bases
        made = super().__new__(mcs, name, bases, own)
        type.__setattr__(made, "_own", frozenset(own))
        if len(bases) > 1:
            _follow_method_resolution_order(made)
        return made

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"{cls.__name__!r} is an injector and has no instances: read an attribute of it, "
            f"or use {cls.__name__}.let(name=value) for a changed copy."
        )

    def let(cls, **attributes: Any) -> Any:
        """A copy of the class in which ``attributes`` replace or add to its own."""
        if not attributes:
            return cls
        namespace = {**attributes, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
        changed = type(cls)(cls.__name__, (cls,), namespace)
        type.__setattr__(changed, "_let", (cls, attributes))
        return changed

    def __getattr__(cls, name: str) -> Any:
        # Private names that are not declared are questions of Python and torch to any class.
        if name.startswith("__") or (name.startswith("_") and name not in cls):
            raise AttributeError(f"{cls.__name__!r} has no attribute {name!r}")
        return Resolution(cls, _spec_of).resolve(name)

    def resolve_with_reads(cls, name: str) -> tuple[Any, frozenset[str]]:
        """The attribute ``name``, and the names of all attributes that were used to build it."""
        resolution = Resolution(cls, _spec_of)
        resolved = resolution.resolve(name)
        return resolved, frozenset(resolution.built)

    def __repr__(cls) -> str:
        return f"<injector {cls.__module__}.{cls.__qualname__}>"


_WRITTEN_BY_PYTHON = frozenset(
    {"__static_attributes__", "__firstlineno__", "__classcell__", "__annotations__"}
    | {"__annotate__", "__annotate_func__", "__conditional_annotations__"}
)
_Nothing: Any = None
_PLAIN = (bool, int, float, str, type(None))
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _follow_method_resolution_order(made: Any) -> None:
    # The package merges whole bases, so that a base of the first would hide what the second says.
    specs = made.__dependencies__.specs
    own = vars(made)["_own"]
    for ancestor in reversed(made.__mro__[1:]):
        for name in vars(ancestor).get("_own", frozenset()) - own:
            if name in ancestor.__dependencies__.specs:
                specs[name] = ancestor.__dependencies__.specs[name]


def _without_arguments(name: str, item: Any) -> Any:
    """A class that names no argument of its own, as a plain ``nn.Module``, is built without any."""
    if not isinstance(item, type) or name.endswith("_class") or isinstance(item, InjectorType):
        return item
    if item.__init__ is object.__init__:  # type: ignore[misc]
        return item
    _self, *arguments = inspect.signature(item.__init__).parameters.values()  # type: ignore[misc]
    named = [argument for argument in arguments if argument.kind not in _VARIABLE]
    return package_shield(item) if arguments and not named else item


class ExtendedInjector(Injector, metaclass=ExtendedInjectorType):
    """Declaration of a quantizer, or of a part of one.

    Attributes are matched by name with the arguments of the classes among them: reading ``X.part``
    builds ``part``, with each argument taken from the attribute of that name, and so on down. Every
    read builds anew; within one read an attribute is built once and shared. A name ending in
    ``_class`` is handed over as it is. ``name in X`` asks whether an attribute is declared.

    Several bases compose, earlier ones winning. ``X.let(bit_width=4)`` is a copy with one change.
    Reading is safe from several threads. There are no instances.

    Raises:
        DependencyError: an attribute is missing or depends on itself; the text names the injector,
            the attribute and the chain of attributes that led there.
    """

    injector_is_extended = True  # the package wants an extension to declare something


class _NothingChanged(ExtendedInjector):
    injector_is_unchanged = True


_Nothing = _NothingChanged


def _spec_of(name: str, dependency: Any) -> Any:
    """The package's spec of an object, which follows from a class or a plain value alone."""
    is_class = isinstance(dependency, type) and not isinstance(dependency, InjectorType)
    if is_class or type(dependency) in _PLAIN:
        return _spec_of_class_or_value(name, dependency, type(dependency).__name__)
    return _made_spec(name, dependency)


@lru_cache(maxsize=4096)
def _spec_of_class_or_value(name: str, dependency: Any, _type: str) -> Any:
    return _made_spec(name, dependency)  # 1, 1.0 and True are one key, their types are not


def _made_spec(name: str, dependency: Any) -> Any:
    return ExtendedInjector.let(**{name: dependency}).__dependencies__.get(name)


def _reduce(cls: Any) -> Any:
    declared = cls.__dict__.get("_let")
    if declared is None:
        return cls.__qualname__  # importable by name, as any class
    base, attributes = declared
    return _let, (base, attributes)


def _let(base: Any, attributes: dict[str, Any]) -> Any:
    return base.let(**attributes)


copyreg.pickle(ExtendedInjectorType, _reduce)

__all__ = ["DependencyError", "ExtendedInjector", "ExtendedInjectorType"]
