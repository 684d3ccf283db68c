"""Folders of runs."""

import pytest

from qat_cli.errors import UserError
from qat_cli.report import create_run_folder, discarded_on_failure, find_run_folder


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def with_checkpoint(folder):
    folder.last.write_bytes(b"x")
    return folder


def test_runs_are_numbered():
    paths = [str(create_run_folder("train", "r", None).path) for _ in range(2)]
    assert paths == ["runs/train/r-001", "runs/train/r-002"]


def test_recipes_whose_names_begin_alike_are_numbered_apart():
    create_run_folder("train", "r-w4", None)
    assert str(create_run_folder("train", "r", None).path) == "runs/train/r-001"


def test_a_folder_with_another_run_suggests_resume(tmp_path):
    with_checkpoint(create_run_folder("train", "r", tmp_path / "out"))
    with pytest.raises(UserError, match=r"holds another run; go on with it: --resume --out"):
        create_run_folder("train", "r", tmp_path / "out")


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty; choose another folder"):
        create_run_folder("train", "r", tmp_path)


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match=r"cannot write in .*out: (File exists|Not a directory)"):
        create_run_folder("train", "r", tmp_path / "out")


def test_resume_finds_the_newest_run_of_the_recipe():
    for _ in range(2):
        with_checkpoint(create_run_folder("train", "r", None))
    create_run_folder("train", "other", None)
    assert find_run_folder("train", "r", None).path.name == "r-002"


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("none", "no run of 'none'"),
        (None, "--resume needs --out FOLDER, or --recipe NAME"),
        ("fresh", "fresh-001 has no checkpoints/last.pt to resume from"),
    ],
)
def test_nothing_to_resume_is_said(recipe, message):
    create_run_folder("train", "fresh", None)
    with pytest.raises(UserError, match=message):
        find_run_folder("train", recipe, None)


def test_a_run_that_fails_before_it_begins_leaves_no_folder():
    folder = create_run_folder("train", "r", None)
    with pytest.raises(UserError), discarded_on_failure(folder):
        raise UserError("a mistyped path")
    assert not folder.path.exists()
