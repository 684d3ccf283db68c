"""Tiny image folders, and the command run inside the test's process."""

import io
import json

import numpy as np
import pytest
from PIL import Image

CLASSES = ("ant", "bee", "cat")
PIXEL = io.BytesIO()
Image.new("RGB", (1, 1)).save(PIXEL, "png")


@pytest.fixture(autouse=True)
def pictures_are_of_one_pixel(request, monkeypatch):
    """But in tests that ask for ``pictures``: drawing takes most of the time of a small run."""

    def save(figure, file, format):
        file.write(PIXEL.getvalue())

    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("matplotlib.figure.Figure.savefig", save)


@pytest.fixture
def pictures():
    """Pictures are drawn."""


@pytest.fixture
def write_images():
    """Write ``count`` small images per class, brighter the later the class; deterministic."""

    def write(folder, count=6, classes=CLASSES, size=8, suffix="png"):
        generator = np.random.default_rng(0)
        for number, name in enumerate(classes):
            (folder / name).mkdir(parents=True)
            for index in range(count):
                level = 40 + 80 * number
                pixels = generator.integers(level - 30, level + 30, (size, size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / name / f"{index:03d}.{suffix}")
        return folder

    return write


@pytest.fixture
def image_folder(tmp_path, write_images):
    """``train/`` with 12 and ``test/`` with 4 images of 8x8 pixels for each of three classes."""
    root = tmp_path / "images"
    write_images(root / "train", 12)
    write_images(root / "test", 4)
    return root


@pytest.fixture
def qat(tmp_path, monkeypatch):
    """Run ``qat ARGUMENTS`` in an empty folder; the result has exit_code, stdout and stderr."""
    from typer.testing import CliRunner

    from qat_cli.main import app

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def qat_json(qat):
    """Run ``qat ARGUMENTS --json``, which must succeed, and return the document."""

    def run(*arguments):
        result = qat(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    return run


@pytest.fixture
def tiny_recipe(tmp_path, tiny_text):
    """A float recipe that trains two epochs on a few digits' worth of time."""
    path = tmp_path / "tiny.yaml"
    path.write_text(tiny_text)
    return path


@pytest.fixture(scope="session")
def tiny_text():
    """The text of that recipe."""
    return (
        "name: tiny\n"
        "model: {name: resnet_small, kwargs: {width: 4, blocks: [1]}}\n"
        "data: {name: digits, image_size: 8, augment: {crop_padding: 1}}\n"
        "optimizer: {name: sgd, lr: 0.05}\n"
        "train: {epochs: 2, batch_size: 256, eval_batch_size: 512}\n"
    )
