"""Errors of users, and the nearest name."""

import pytest

from qat_cli.errors import Interrupted, UserError, WorkFailed, did_you_mean


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("x"), 2),
        (WorkFailed("x"), 1),
        (Interrupted("x"), 130),
        (Interrupted("x", signal_number=15), 143),
    ],
)
def test_each_way_to_end_has_its_exit_code(error, code):
    assert error.exit_code == code


@pytest.mark.parametrize("typed", ["resnt20", "ResNet20", "RESNET20"])
def test_a_close_name_is_suggested_in_its_own_spelling(typed):
    assert did_you_mean(typed, ["vgg11", "resnet20"]) == "; did you mean 'resnet20'?"


def test_nothing_is_suggested_where_nothing_is_close():
    assert did_you_mean("zebra", ["vgg11", "resnet20"]) == ""
