"""Our own checkpoints."""

import dataclasses

import pytest
import torch

from qat_cli.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from qat_cli.errors import UserError
from qat_cli.recipes import recipe_from_tree


@pytest.fixture
def checkpoint():
    recipe = recipe_from_tree({"name": "r", "model": {"name": "resnet_small"}}, "test")
    return Checkpoint(
        recipe=recipe,
        weights={"w": torch.randn(3)},
        classes=["a", "b"],
        input_shape=(1, 16, 16),
        metrics={"epoch": 1, "val": {"top1": 50.0}},
        training={"state": {"epoch": 1}},
        versions={"torch": "2"},
    )


def test_what_was_written_is_read(tmp_path, checkpoint):
    write_checkpoint(tmp_path / "c.pt", checkpoint)
    read = read_checkpoint(tmp_path / "c.pt")
    assert torch.equal(read.weights["w"], checkpoint.weights["w"])
    plain = {"weights": {}}
    assert dataclasses.replace(read, **plain) == dataclasses.replace(checkpoint, **plain)


def test_plain_torch_reads_it_without_running_code(tmp_path, checkpoint):
    write_checkpoint(tmp_path / "c.pt", checkpoint)
    document = torch.load(tmp_path / "c.pt", weights_only=True)
    assert document["qat_format"] == 1
    assert document["recipe"]["name"] == "r"
    assert set(document["normalization"]) == {"mean", "std"}


def test_a_newer_format_is_refused(tmp_path, checkpoint):
    write_checkpoint(tmp_path / "c.pt", checkpoint)
    document = torch.load(tmp_path / "c.pt", weights_only=True)
    torch.save({**document, "qat_format": 2}, tmp_path / "c.pt")
    with pytest.raises(UserError, match="has checkpoint format 2, this program reads 1"):
        read_checkpoint(tmp_path / "c.pt")


def test_a_plain_state_dict_is_pointed_to_the_other_way(tmp_path):
    torch.save({"w": torch.zeros(2)}, tmp_path / "w.pt")
    with pytest.raises(UserError, match="not a checkpoint of this program.*--model MODEL"):
        read_checkpoint(tmp_path / "w.pt")


def test_a_missing_part_is_named(tmp_path, checkpoint):
    write_checkpoint(tmp_path / "c.pt", checkpoint)
    document = torch.load(tmp_path / "c.pt", weights_only=True)
    del document["classes"]
    torch.save(document, tmp_path / "c.pt")
    with pytest.raises(UserError, match="lacks parts of a checkpoint .*classes"):
        read_checkpoint(tmp_path / "c.pt")


def test_an_invalid_recipe_inside_is_reported_with_its_key(tmp_path, checkpoint):
    write_checkpoint(tmp_path / "c.pt", checkpoint)
    document = torch.load(tmp_path / "c.pt", weights_only=True)
    document["recipe"]["train"]["epochs"] = -1
    torch.save(document, tmp_path / "c.pt")
    with pytest.raises(UserError, match=r"(?s)c\.pt.*train\.epochs"):
        read_checkpoint(tmp_path / "c.pt")
