"""Files that are there as a whole or not at all."""

import os

import pytest

from qat_cli.checkpoint import write_atomically
from qat_cli.errors import WorkFailed


def test_the_new_content_replaces_the_old(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch, moment):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, moment, full)
    with pytest.raises(WorkFailed, match=r"cannot write .*file: No space left.*unchanged"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_missing_folder_is_a_clear_failure(tmp_path):
    with pytest.raises(WorkFailed, match="No such file or directory"):
        write_atomically(tmp_path / "gone" / "file", b"x")
