"""Behaviour of the ``dependencies`` package that ``qat.inject`` relies on."""

import warnings

import pytest

from qat.inject.dependencies_package import (
    DependencyError,
    Injector,
    InjectorType,
    PackageThis,
    package_shield,
    package_value,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from dependencies import this as package_this


class Part:
    def __init__(self, width, height=2):
        self.width, self.height = width, height


@pytest.fixture(autouse=True)
def without_deprecation_warnings():
    # The 7.7 release warns on every use of its own injectors; ours never resolve through them.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def test_metaclass_can_be_subclassed_and_its_classes_hold_their_dependencies():
    class Meta(InjectorType):
        pass

    class Base(Injector, metaclass=Meta):
        width = 1

    assert isinstance(Base, Meta)
    assert Base.__dependencies__.has("width")
    assert not Base.__dependencies__.has("height")
    assert Base.__dependencies__.get("height") is None
    assert "width" in Base.__dependencies__.specs


def test_spec_tells_arguments_with_whether_they_have_a_default():
    class Container(Injector):
        part = Part

    spec = Container.__dependencies__.get("part")
    assert dict(spec.args) == {"width": False, "height": True}


def test_spec_factory_builds_from_keywords_and_returns_the_object_first():
    class Container(Injector):
        part = Part

    part, _ = Container.__dependencies__.get("part").factory(width=5)
    assert isinstance(part, Part)
    assert (part.width, part.height) == (5, 2)


def test_value_spec_calls_the_function_with_its_arguments():
    class Container(Injector):
        @package_value
        def area(width, height):
            return width * height

    spec = Container.__dependencies__.get("area")
    assert dict(spec.args) == {"width": False, "height": False}
    assert spec.factory(width=3, height=4)[0] == 12


def test_this_spec_reads_its_path_from_the_object_given_as_self():
    class Container(Injector):
        copy = package_this.original

    class Scope:
        original = 7

    spec = Container.__dependencies__.get("copy")
    assert list(spec.args) == ["__self__"]
    assert spec.factory(__self__=Scope())[0] == 7


def test_nested_injector_spec_names_its_injector_and_takes_self():
    class Outer(Injector):
        class Inner(Injector):
            width = 1

    spec = Outer.__dependencies__.get("Inner")
    assert list(spec.args) == ["__self__"]
    assert isinstance(spec.factory.injector, InjectorType)


def test_shielded_callable_is_called_without_arguments():
    class Container(Injector):
        part = package_shield(lambda *args: args)

    spec = Container.__dependencies__.get("part")
    assert dict(spec.args) == {}
    assert spec.factory()[0] == ()


def test_this_keeps_its_path_as_an_expression():
    assert isinstance(package_this, PackageThis)
    assert package_this.sizes[0].__expression__ == ((".", "sizes"), ("[]", 0))
    assert (package_this << 1).outer.__expression__ == ((".", "__parent__"), (".", "outer"))


def test_dependency_error_is_an_exception():
    assert issubclass(DependencyError, Exception)
