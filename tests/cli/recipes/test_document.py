"""Strict YAML, with the line of each value."""

import pytest

from qat_cli.errors import UserError
from qat_cli.recipes.document import parse_value, read_document


def write(folder, text):
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", "0.001", "+1E-3"])
def test_every_spelling_of_a_number_is_a_number(text):
    assert parse_value(text) == pytest.approx(0.001)


def test_an_empty_value_is_null():
    assert parse_value("") is None


def test_each_key_knows_its_line(tmp_path):
    document = read_document(write(tmp_path, "a: 1\nb:\n  c: 2\n  d: [3,\n    4]\n"))
    assert document.lines[("b", "c")] == 3
    assert document.lines[("b", "d", 1)] == 5
    assert document.place(("b", "c")) == f"{tmp_path / 'recipe.yaml'}:3"


def test_a_missing_key_is_placed_at_the_section_around_it(tmp_path):
    document = read_document(write(tmp_path, "a: 1\nb:\n  c: 2\n"))
    assert document.place(("b", "x")).endswith(":2")
    assert document.place(("z",)) == str(tmp_path / "recipe.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", r"recipe\.yaml: line 1"),
        ("- 1", "is a mapping of keys"),
        ("", "is a mapping of keys"),
        ("a: 1\nb: 2\na: 3", "line 3: a stands there twice"),
        ("a: &x [*x]", "nested too deep"),
        ("a: 2024-02-31", "recipe.yaml: "),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
    ],
    ids=["syntax", "list", "empty", "twice", "endless", "date", "object"],
)
def test_a_file_that_is_no_recipe_is_refused_with_its_name(tmp_path, text, says):
    with pytest.raises(UserError, match=says):
        read_document(write(tmp_path, text))


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(UserError, match="not UTF-8 text"):
        read_document(path)
