"""Models of other people, through the commands that quantize them."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch

THEIRS = Path(__file__).with_name("their_models.py")
#: Layers and functions with a weight. An attention is two: its projections at either end.
WEIGHTS = {
    "OptionalMask": 2,
    "NormalizesInside": 2,
    "Standardized": 2,
    "InPlaceResidual": 4,
    "SqueezeExcite": 4,
    "Tokens": 10,
    "RowByRow": 2,
    "Dense": 4,
    "Inverted": 5,
    "Halves": 3,
    "OwnMatrix": 2,
    "TwoHeads": 3,
}
FAKE = ("data.fake.classes=3", "data.fake.images=120", "data.image_size=8")


@pytest.fixture
def weights(tmp_path):
    """A function: a file with weights of the model."""
    spec = importlib.util.spec_from_file_location("their_models", THEIRS)
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)

    def save(name):
        torch.manual_seed(0)
        torch.save(getattr(theirs, name)(3).state_dict(), tmp_path / "float.pt")
        return tmp_path / "float.pt"

    return save


@pytest.mark.slow
@pytest.mark.parametrize("name", WEIGHTS)
def test_models_of_people_are_calibrated_rehearsed_and_trained(qat, weights, name):
    given = ("--model", f"{THEIRS}:{name}", "--data", "fake", *FAKE)
    calibrate = ("calibrate", "--recipe", "resnet_w8a8_ptq", "--weights", weights(name))
    for arguments in (
        (*calibrate, *given, "--out", "calibrated"),
        ("train", "--recipe", "resnet_w4a4", *given, "--dry-run"),
        ("train", "--recipe", "resnet_w4a4", *given, "--epochs", "1", "--out", "trained"),
    ):
        result = qat(*arguments)
        assert result.exit_code == 0, result.stderr
        quantized = re.findall(r"^\S+ +\S+ +[48] bit \w+Weight", result.stderr, re.MULTILINE)
        assert len(quantized) == WEIGHTS[name], result.stderr
