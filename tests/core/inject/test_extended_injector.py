"""Declaring, changing and combining injectors."""

import copy
import pickle

import pytest

from qat.inject import ExtendedInjector, value


class Wheel:
    def __init__(self, radius, spokes=8):
        self.radius, self.spokes = radius, spokes


class Cart:
    def __init__(self, left, right):
        self.left, self.right = left, right


class Bare:
    """Has no ``__init__`` of its own."""


class SmallWheel(ExtendedInjector):
    wheel = Wheel
    radius = 3


class DocumentedWheel(SmallWheel):
    """Nothing but this line."""


def test_attribute_is_built_from_the_attributes_that_its_arguments_name():
    wheel = SmallWheel.wheel
    assert isinstance(wheel, Wheel)
    assert (wheel.radius, wheel.spokes) == (3, 8)


def test_declared_attribute_wins_over_the_default_of_an_argument():
    class Spoked(SmallWheel):
        spokes = 5

    assert Spoked.wheel.spokes == 5


def test_each_reading_builds_a_new_object():
    assert SmallWheel.wheel is not SmallWheel.wheel


def test_one_object_is_shared_inside_of_one_resolution():
    class CartOfOneWheel(SmallWheel):
        cart = Cart

        @value
        def left(wheel):
            return wheel

        @value
        def right(wheel):
            return wheel

    cart = CartOfOneWheel.cart
    assert cart.left is cart.right


def test_class_without_init_is_built():
    class Container(ExtendedInjector):
        part = Bare

    assert isinstance(Container.part, Bare)


def test_class_whose_init_takes_only_variable_arguments_is_built_without_any():
    class Loose:
        def __init__(self, *args, **kwargs):
            self.given = (args, kwargs)

    class Container(ExtendedInjector):
        part = Loose

    assert Container.part.given == ((), {})


@pytest.mark.parametrize("kind", [Wheel, Bare, int])
def test_name_ending_in_class_is_handed_over_not_built(kind):
    class Container(ExtendedInjector):
        part_class = kind

    assert Container.part_class is kind


def test_subclass_overrides_and_inherits():
    class BigWheel(SmallWheel):
        radius = 9

    assert BigWheel.wheel.radius == 9
    assert SmallWheel.wheel.radius == 3


def test_subclass_may_hold_a_docstring_only_or_nothing():
    class Empty(SmallWheel):
        pass

    assert DocumentedWheel.wheel.radius == Empty.wheel.radius == 3
    assert DocumentedWheel.__doc__ == "Nothing but this line."


def test_several_bases_compose_and_the_earlier_one_wins():
    class Radius(ExtendedInjector):
        radius = 7

    class Both(Radius, SmallWheel):
        pass

    class BothTheOtherWayRound(SmallWheel, Radius):
        pass

    assert Both.wheel.radius == 7
    assert BothTheOtherWayRound.wheel.radius == 3


def test_diamond_of_bases_follows_the_method_resolution_order():
    class Base(ExtendedInjector):
        a, b = "base", "base"

    class Left(Base):
        a = "left"

    class Right(Base):
        a, b = "right", "right"

    class Bottom(Left, Right):
        pass

    assert (Bottom.a, Bottom.b) == ("left", "right")


def test_in_says_whether_an_attribute_is_declared_here_or_in_a_base():
    assert "radius" in SmallWheel
    assert "radius" in DocumentedWheel
    assert "spokes" not in SmallWheel


def test_let_gives_a_changed_copy_and_leaves_the_original():
    changed = SmallWheel.let(radius=4, spokes=6)
    assert (changed.wheel.radius, changed.wheel.spokes) == (4, 6)
    assert (SmallWheel.wheel.radius, SmallWheel.wheel.spokes) == (3, 8)
    assert "spokes" not in SmallWheel


def test_let_adds_to_what_let_gave_and_keeps_the_name():
    changed = SmallWheel.let(radius=4).let(spokes=6)
    assert (changed.wheel.radius, changed.wheel.spokes) == (4, 6)
    assert changed.__name__ == "SmallWheel"
    assert issubclass(changed, SmallWheel)


def test_let_of_nothing_is_the_class_itself():
    assert SmallWheel.let() is SmallWheel


def test_let_takes_classes_and_hands_over_none():
    changed = SmallWheel.let(radius=None, wheel=Wheel, part=Bare)
    assert changed.wheel.radius is None
    assert isinstance(changed.part, Bare)


def test_injector_has_no_instances():
    with pytest.raises(TypeError, match="'SmallWheel' is an injector and has no instances"):
        SmallWheel()


def test_dunder_that_does_not_exist_is_an_attribute_error():
    assert not hasattr(SmallWheel, "__no_such_thing__")


def test_resolution_leaves_the_class_as_it_was():
    before = dict(vars(SmallWheel))
    specs = dict(SmallWheel.__dependencies__.specs)
    assert SmallWheel.wheel is not None
    assert dict(vars(SmallWheel)) == before
    assert dict(SmallWheel.__dependencies__.specs) == specs


def test_injector_is_pickled_by_its_name():
    assert pickle.loads(pickle.dumps(SmallWheel)) is SmallWheel


def test_copy_made_by_let_is_pickled_with_its_changes():
    changed = SmallWheel.let(radius=4).let(spokes=6)
    back = pickle.loads(pickle.dumps(changed))
    assert (back.wheel.radius, back.wheel.spokes) == (4, 6)
    assert back.__name__ == "SmallWheel"


def test_deep_copy_of_an_injector_is_itself():
    changed = SmallWheel.let(radius=4)
    assert copy.deepcopy({"a": changed, "b": SmallWheel}) == {"a": changed, "b": SmallWheel}


def test_repr_names_the_injector():
    assert repr(SmallWheel).startswith("<injector ")
    assert "SmallWheel" in repr(SmallWheel.let(radius=1))
