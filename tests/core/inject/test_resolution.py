"""Computed attributes, paths, nesting, and the errors that name them."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from qat.inject import DependencyError, ExtendedInjector, this, value


class Box:
    def __init__(self, width, height=2):
        self.width, self.height = width, height


class Bare:
    """Has no ``__init__`` of its own."""


class Part:
    def __init__(self, width):
        self.width = width


def test_value_is_computed_from_the_attributes_that_its_arguments_name():
    class Container(ExtendedInjector):
        width, height = 3, 4

        @value
        def area(width, height):
            return width * height

    assert Container.area == 12


def test_value_takes_its_own_defaults_where_nothing_is_declared():
    class Container(ExtendedInjector):
        width = 3

        @value
        def area(width, height=10):
            return width * height

    assert Container.area == 30
    assert Container.let(height=2).area == 6


def test_class_returned_by_a_value_is_built():
    class Container(ExtendedInjector):
        width = 3

        @value
        def part():
            return Part

    assert isinstance(Container.part, Part)
    assert Container.part.width == 3


def test_path_returned_by_a_value_is_followed():
    class Container(ExtendedInjector):
        sizes = (5, 6)

        @value
        def width():
            return this.sizes[1]

    assert Container.width == 6


def test_value_returned_by_a_value_is_evaluated():
    class Container(ExtendedInjector):
        width = 3

        @value
        def area():
            @value
            def square(width):
                return width * width

            return square

    assert Container.area == 9


def test_class_returned_for_a_name_ending_in_class_is_handed_over():
    class Container(ExtendedInjector):
        @value
        def part_class():
            return Part

    assert Container.part_class is Part


def test_none_returned_by_a_value_is_handed_over():
    class Container(ExtendedInjector):
        part = Part

        @value
        def width():
            return None

    assert Container.part.width is None


def test_value_refuses_a_class():
    with pytest.raises(DependencyError):
        value(Part)


def test_this_reads_attributes_and_items_of_the_same_injector():
    class Container(ExtendedInjector):
        part = Part
        sizes = {"wide": (7, 8)}
        width = this.sizes["wide"][0]

    assert Container.part.width == 7


def test_this_sees_the_object_shared_in_this_resolution():
    class Container(ExtendedInjector):
        box = Box
        width = Bare
        height = this.width

    box = Container.box
    assert box.width is box.height


def test_nested_injector_reads_the_outer_one_through_a_shift():
    class Outer(ExtendedInjector):
        width = 5

        class Inner(ExtendedInjector):
            part = Part
            width = (this << 1).width

    assert Outer.Inner.part.width == 5
    assert Outer.let(width=9).Inner.part.width == 9


def test_outer_injector_reads_the_nested_one_through_a_path():
    class Outer(ExtendedInjector):
        part = this.Inner.part

        class Inner(ExtendedInjector):
            part = Part
            width = 4

    assert Outer.part.width == 4


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_shift_beyond_the_outermost_injector_is_an_error_that_names_it_and_the_attribute(levels):
    class Outer(ExtendedInjector):
        part = Part
        width = (this << levels).width

    expected = r"'Outer' shifts 'this' by more levels .* \(needed by part -> width\)"
    with pytest.raises(DependencyError, match=expected):
        _ = Outer.part


@pytest.mark.parametrize("levels", [0, -1, 1.5, "1"])
def test_shift_by_anything_but_a_positive_integer_is_refused(levels):
    with pytest.raises(ValueError, match="must be a positive integer"):
        _ = this << levels


def test_missing_attribute_is_named_with_its_injector():
    class Container(ExtendedInjector):
        width = 1

    with pytest.raises(DependencyError, match="^'Container' can not resolve attribute 'height'$"):
        _ = Container.height


def test_missing_attribute_is_named_with_the_chain_that_led_there():
    class Container(ExtendedInjector):
        box = Box

        @value
        def width(part):
            return part.width

        @value
        def part(depth):
            return depth

    expected = (
        "'Container' can not resolve attribute 'depth' (needed by box -> width -> part -> depth)"
    )
    with pytest.raises(DependencyError, match=f"^{re.escape(expected)}$"):
        _ = Container.box


def test_value_under_a_default_argument_whose_own_need_is_missing_is_a_dependency_error():
    class Container(ExtendedInjector):
        box = Box
        width = 1

        @value
        def height(module):  # the default of Box's argument must not hide that this fails
            return module.height

    expected = r"can not resolve attribute 'module' \(needed by box -> height -> module\)"
    with pytest.raises(DependencyError, match=expected):
        _ = Container.box


def test_circle_is_an_error_that_names_its_members():
    class Container(ExtendedInjector):
        start = this.a

        @value
        def a(b):
            return b

        @value
        def b(c):
            return c

        @value
        def c(a):
            return a

    with pytest.raises(DependencyError, match="'Container' has a circle .*: a -> b -> c -> a;"):
        _ = Container.start


def test_attribute_that_needs_itself_is_a_circle():
    class Container(ExtendedInjector):
        width = this.width

    with pytest.raises(DependencyError, match="width -> width"):
        _ = Container.width


def test_error_of_a_value_function_reaches_the_reader_and_leaves_the_injector_usable():
    class Container(ExtendedInjector):
        width = 0

        @value
        def inverse(width):
            return 1 / width

    with pytest.raises(ZeroDivisionError):
        _ = Container.inverse
    assert Container.let(width=2).inverse == 0.5


def test_value_may_read_its_own_injector_anew():
    class Container(ExtendedInjector):
        depth = 3

        @value
        def total(depth):
            return 0 if depth == 0 else depth + Container.let(depth=depth - 1).total

    assert Container.total == 6  # 3 + 2 + 1


def test_several_threads_resolve_the_same_injector_at_once():
    together = threading.Barrier(8)

    class Container(ExtendedInjector):
        box = Box
        height = Bare

        @value
        def width(base):
            return base + 1

    def read(base):
        together.wait()
        boxes = [Container.let(base=base).box for _ in range(20)]
        return {box.width for box in boxes}, len({id(box.height) for box in boxes})

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(read, range(8)))
    assert results == [({base + 1}, 20) for base in range(8)]
