"""Tensor files of every state of health."""

import collections
import pickle

import pytest
import torch
from safetensors.torch import save_file

from qat_cli.checkpoint.reading import read_tensor_file
from qat_cli.errors import UserError


class RunsCode:
    """Unpickling it would call ``print``; nothing here may do so."""

    def __reduce__(self):
        return (print, ("code ran",))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save({"a": torch.arange(1000.0)}, path)
    return path


def test_both_forms_of_torch_save_are_read(tmp_path, saved):
    old = tmp_path / "old.pt"
    torch.save({"a": torch.arange(3.0)}, old, _use_new_zipfile_serialization=False)
    assert read_tensor_file(old)["a"].tolist() == [0, 1, 2]
    assert read_tensor_file(saved)["a"].sum() == 499500


def test_safetensors_are_read(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.arange(3.0)}, path)
    assert read_tensor_file(path)["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
def test_a_truncated_file_is_named(saved, kept):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(UserError, match=r"weights\.pt is truncated or damaged"):
        read_tensor_file(saved)


def test_a_flipped_bit_is_found_by_its_checksum(saved):
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1
    saved.write_bytes(content)
    with pytest.raises(UserError, match=r"weights\.pt is damaged: the checksum of '.*data/0'"):
        read_tensor_file(saved)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.pt", b"", "is empty"),
        ("text.pt", b"hello, world\n" * 9, "is not a checkpoint that torch can read"),
        ("photo.pt", b"\xff\xd8\xff\xe0" * 9, "is not a checkpoint that torch can read"),
        ("bad.safetensors", b"hello" * 9, "is not a safetensors file"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_tensor_file(path)


def test_a_path_that_leads_through_a_file_says_so(saved):
    with pytest.raises(UserError, match="cannot read .*/last.pt: Not a directory"):
        read_tensor_file(saved / "last.pt")


def test_a_pickle_that_would_run_code_does_not(tmp_path, capsys):
    path = tmp_path / "evil.pt"
    torch.save({"a": RunsCode()}, path)
    with pytest.raises(UserError, match=r"would run code from the file \(it names .*print\)"):
        read_tensor_file(path)
    assert "code ran" not in capsys.readouterr().out


def test_a_bare_pickle_is_refused(tmp_path, capsys):
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(RunsCode()))
    with pytest.raises(UserError, match="Python pickle, not a tensor file"):
        read_tensor_file(path)
    assert "code ran" not in capsys.readouterr().out


def test_a_whole_pickled_model_says_what_to_save_instead(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(UserError, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict\(\)"):
        read_tensor_file(path)


def test_missing_files_and_folders_are_told_apart(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_tensor_file(tmp_path / "gone.pt")
    with pytest.raises(UserError, match=r"is a folder; give the file of a checkpoint in it\."):
        read_tensor_file(tmp_path)
    best = tmp_path / "checkpoints" / "best.pt"
    best.parent.mkdir()
    best.touch()
    with pytest.raises(UserError, match=f"a checkpoint in it, {best}"):
        read_tensor_file(tmp_path)


def test_containers_of_plain_values_are_read(tmp_path):
    path = tmp_path / "plain.pt"
    document = {"ordered": collections.OrderedDict(a=1), "list": [1.5, "x", None, True]}
    torch.save(document, path)
    assert read_tensor_file(path) == document
