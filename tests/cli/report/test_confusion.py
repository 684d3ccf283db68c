"""The picture of a confusion matrix."""

import numpy as np
import pytest
from PIL import Image

from qat_cli.report import write_confusion
from qat_cli.report.confusion import _worst


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def matrix(classes, wrong=0, other=0):
    counts = np.zeros((classes, classes + 1), dtype=int)
    counts[range(classes), range(classes)] = 20
    counts[0, 1] = wrong
    counts[0, -1] = other
    return counts.tolist()


def draw(path, counts, names=None):
    names = names or [f"class{i}" for i in range(len(counts))]
    write_confusion(path, counts, names, "recipe, epoch 1")
    return pixels(path)


@pytest.mark.parametrize("classes", [2, 30])
def test_a_perfect_model_is_a_blue_diagonal_without_orange_cells(tmp_path, classes):
    picture = draw(tmp_path / "c.png", matrix(classes))
    height, width, _ = picture.shape
    cells = picture[:, : int(width * 0.75)]  # left of the bars that explain the colours
    red, blue = cells[..., 0], cells[..., 2]
    assert ((blue - red) > 60).sum() > 100
    assert ((red - blue) > 60).sum() == 0
    assert max(height, width) < 2000


def test_an_error_is_an_orange_cell(tmp_path):
    picture = draw(tmp_path / "c.png", matrix(10, wrong=5))
    cells = picture[:, : int(picture.shape[1] * 0.75)]
    assert ((cells[..., 0] - cells[..., 2]) > 60).sum() > 500


def test_names_that_mean_something_to_the_drawing_library_are_drawn_as_they_are(tmp_path):
    names = ["$\\frac{$", "猫", "x" * 200]
    assert draw(tmp_path / "c.png", matrix(3, wrong=1), names).any()


def test_the_most_frequent_errors_are_listed_first_and_right_answers_never():
    table = np.array([[90, 3, 0], [1, 80, 7], [0, 0, 50]])
    assert _worst(table, ["a", "b", "c"], ["a", "b", "c"]).splitlines() == [
        "most frequent errors",
        "b taken for c: 7 of 88",
        "a taken for b: 3 of 93",
        "b taken for a: 1 of 88",
    ]
    assert _worst(np.diag([4, 4]), ["a", "b"], ["a", "b"]) == "no errors"


def test_a_column_for_other_outputs_is_drawn_only_where_there_are_any(tmp_path):
    without = draw(tmp_path / "a.png", matrix(3, wrong=2))
    with_other = draw(tmp_path / "b.png", matrix(3, wrong=2, other=9))
    assert without.shape == with_other.shape and (without != with_other).any()
