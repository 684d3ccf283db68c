"""The summary of a run: its document, read again."""

import json
import math
from dataclasses import replace

import pytest

from qat_cli.errors import UserError
from qat_cli.report import Metrics, RunSummary, read_summary

TEST = Metrics(loss=0.5, top1=90.0, top5=99.0, images=10)
COMMON = {
    "recipe": "tiny",
    "model": "resnet_small",
    "data": "digits",
    "device": "cpu",
    "run": "runs/tiny-001",
    "checkpoint": "runs/tiny-001/checkpoints/best.pt",
    "test": TEST,
}
TRAINED = RunSummary(
    command="train", epochs=3, epochs_trained=2, best_epoch=1, val=TEST, seconds=1.5, **COMMON
)
CALIBRATED = RunSummary(
    command="calibrate", weights="w.pt", float_test=TEST, calibration_images=8, **COMMON
)


@pytest.mark.parametrize("summary", [TRAINED, CALIBRATED], ids=lambda each: each.command)
def test_the_document_is_read_back_as_what_was_written(summary, tmp_path):
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(summary.to_json()))
    assert read_summary(path).to_json() == summary.to_json()


def test_the_document_has_the_test_figures_at_the_top_and_only_keys_of_its_command():
    trained, calibrated = TRAINED.to_json(), CALIBRATED.to_json()
    assert list(trained)[-3:] == ["parameters", "seconds", "versions"]
    assert trained["stopped_early"] is True  # 2 of 3
    assert replace(TRAINED, epochs_trained=3).stopped_early is False
    assert "bit_widths" not in trained and "weights" not in trained
    assert "epochs" not in calibrated and calibrated["calibration_images"] == 8
    for document in (trained, calibrated):
        assert {key: document[key] for key in document["test"]} == document["test"]


def test_learned_bit_widths_stand_in_the_document():
    document = {**TRAINED.to_json(), "weight_bits": 3.5, "bit_widths": {"conv1": 3}}
    assert RunSummary.from_json(document).bit_widths == {"conv1": 3}
    assert RunSummary.from_json(document).to_json()["weight_bits"] == 3.5


def test_numbers_that_are_not_finite_are_null_and_come_back():
    lost = Metrics(loss=math.nan, top1=10.0, top5=50.0, images=10)
    document = RunSummary(command="train", **{**COMMON, "test": lost}).to_json()
    assert document["loss"] is None and document["test"]["loss"] is None
    assert math.isnan(RunSummary.from_json(document).test.loss)


def test_a_document_with_fewer_or_more_keys_is_read():
    document = TRAINED.to_json()
    for key in ("precision", "processes", "float_test", "versions"):
        del document[key]
    assert RunSummary.from_json({**document, "new": 1}).precision == "float32"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"command": "x"}', json.dumps({**TRAINED.to_json(), "test": None})]
)
def test_another_file_is_refused(text, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"other.json.*give the summary.json of a run folder"):
        read_summary(path)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        read_summary(tmp_path / "gone.json")
