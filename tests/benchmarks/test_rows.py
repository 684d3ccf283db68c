"""Verdicts, the table, and rows in files."""

import math

import pytest

from benchmarks.rows import Row, failed_row, read_rows, table, write_rows


@pytest.mark.parametrize(
    ("goal", "figure", "missed"),
    [
        (1.1, 1.1, False),
        (1.1, 1.1001, True),
        (1.1, math.nan, True),
        (None, 9.0, False),
        (None, None, True),
    ],
)
def test_a_goal_is_missed_above_it_and_where_nothing_was_measured(goal, figure, missed):
    assert Row("work", goal, figure).is_missed is missed


def test_rows_come_back_from_a_file(tmp_path):
    rows = [
        Row("work", 1.3, 1.2, low=1.1, high=1.4, others={"torch": 2.0}, details={"images": 5}),
        failed_row("other work", "it broke"),
    ]

    write_rows(tmp_path / "rows.json", rows)

    assert read_rows(tmp_path / "rows.json") == rows


def test_the_table_shows_goal_figure_others_and_verdict():
    rows = [
        Row("fast", 1.3, 1.25, low=1.2, high=1.3, others={"Brevitas": 20.0}),
        Row("saved", 4.0, 12.0, unit="bytes"),
        failed_row("broken", "RuntimeError: no such thing"),
    ]

    head, fast, saved, broken, why = table(rows).splitlines()

    assert head.split() == ["work", "goal", "figure", "quartiles", "others"]
    assert fast.split() == "fast 1.30 x 1.250 x 1.200 - 1.300 Brevitas 20.00 ok".split()
    assert saved.split() == "saved 4.00 bytes 12.000 bytes MISSED".split()
    assert broken.split() == "broken - - FAILED".split()
    assert why == "broken: RuntimeError: no such thing"
