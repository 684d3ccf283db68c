"""Tables as text, at any width."""

import pytest

from qat_cli.terminal.tables import folded_text, table_lines

COLUMNS = ("key", "default", "description")
ROWS = [
    ("train.epochs", "10", "Passes over the training images."),
    ("train.accumulate", "-", "Batches per optimizer step."),
]


def test_without_a_limit_nothing_is_folded():
    assert table_lines("keys", COLUMNS, ROWS, None) == [
        "keys",
        "key               default  description",
        "----------------  -------  --------------------------------",
        "train.epochs      10       Passes over the training images.",
        "train.accumulate  -        Batches per optimizer step.",
    ]


def test_the_widest_column_is_folded_at_spaces():
    assert table_lines("", COLUMNS, ROWS, 44) == [
        "key               default  description",
        "----------------  -------  -----------------",
        "train.epochs      10       Passes over the",
        "                           training images.",
        "train.accumulate  -        Batches per",
        "                           optimizer step.",
    ]


def test_where_columns_do_not_fit_every_row_is_a_paragraph_without_its_empty_cells():
    assert table_lines("", COLUMNS, ROWS, 36) == [
        "train.epochs",
        "  default      10",
        "  description  Passes over the",
        "               training images.",
        "train.accumulate",
        "  description  Batches per optimizer",
        "               step.",
    ]


@pytest.mark.parametrize("width", [20, 50, 79, 200])
def test_no_line_is_wider_than_the_terminal_unless_a_word_is(width):
    rows = [("a.long.name.of.a.key", "[1, 2, 3]", "some words " * 12), ("b", "-", "/a/path" * 9)]
    for line in table_lines("", COLUMNS, rows, width):
        assert len(line) <= max(width, 48) or "/a/path" in line


def test_a_word_that_is_too_long_for_its_column_keeps_all_its_letters():
    row = ("conv1", "SignedBinaryWeightPerTensorConst", "x")
    assert table_lines("", ("layer", "weight", "note"), [row], 34)[2:] == [
        "conv1  SignedBinaryWeightPer  x",
        "       TensorConst",
    ]


def test_a_table_without_rows_has_its_headings():
    assert table_lines("", ("a", "b"), [], 80) == ["a  b", "-  -"]


def test_text_is_folded_at_spaces_and_further_lines_are_indented():
    assert folded_text("one two three four\nfive", 16) == "one two three\n  four\nfive"
    assert folded_text("one two three", None) == "one two three"
    assert folded_text("a /very/long/path/as/a/whole", 16) == "a\n  /very/long/path/as/a/whole"
