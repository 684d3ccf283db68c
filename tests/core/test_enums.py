"""Choices made from names, and the one lookup with its one error."""

import pytest

from qat.enums import RestrictValueType, ScalingImplType, StatsOp, choice, lookup, member

TABLE = {StatsOp.MAX: "largest", StatsOp.AVE: "mean"}


@pytest.mark.parametrize("name", ["max", "MAX", "Max", StatsOp.MAX])
def test_choice_is_made_from_its_name_in_any_case_or_from_itself(name):
    assert StatsOp(name) is StatsOp.MAX


def test_choice_equals_its_lower_case_name():
    assert ScalingImplType.PARAMETER_FROM_STATS == "parameter_from_stats"


def test_choice_prints_as_its_name():
    assert str(RestrictValueType.POWER_OF_TWO) == "power_of_two"
    assert f"{RestrictValueType.LOG_FP}" == "log_fp"


def test_unknown_choice_is_refused():
    with pytest.raises(ValueError, match="smallest"):
        StatsOp("smallest")


@pytest.mark.parametrize("word", ["ave", "AVE", StatsOp.AVE])
def test_lookup_takes_member_and_name(word):
    assert lookup(TABLE, word, "scaling_stats_op") == "mean"


@pytest.mark.parametrize("word", ["smallest", 3, None, "percentile", StatsOp.PERCENTILE])
def test_lookup_error_names_field_value_and_the_choices_of_the_table(word):
    expected = f"scaling_stats_op is '{word}'; choose one of 'max', 'ave'."
    with pytest.raises(ValueError, match=expected):
        lookup(TABLE, word, "scaling_stats_op")


@pytest.mark.parametrize("word", ["mse", "MSE", StatsOp.MSE])
def test_a_word_becomes_the_member_that_it_names(word):
    assert choice(StatsOp, word, "scaling_stats_op") is StatsOp.MSE
    assert member(StatsOp, word) is StatsOp.MSE


def test_a_word_of_the_readers_own_is_no_member_and_refused_as_a_choice():
    assert member(StatsOp, "three_sigma") is member(StatsOp, None) is None
    with pytest.raises(ValueError, match="scaling_stats_op is 'max_avee'; .* mean 'max_ave'"):
        choice(StatsOp, "max_avee", "scaling_stats_op")
