"""The sets that torchvision downloads, served on this machine."""

import functools
import gzip
import hashlib
import http.server
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from torchvision import datasets

from qat_cli.data import load_data
from qat_cli.errors import UserError
from qat_cli.recipes.schema import DataConfig


def write_idx(path, array):
    """The file format of MNIST: magic number, sizes, bytes."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())
    path.with_suffix(path.suffix + ".gz").write_bytes(gzip.compress(path.read_bytes()))


@pytest.fixture
def mnist_files(tmp_path):
    """MNIST's files with a few images of noise."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name, count in (("train", 40), ("t10k", 20)):
        write_idx(raw / f"{name}-images-idx3-ubyte", generator.integers(0, 256, (count, 28, 28)))
        write_idx(raw / f"{name}-labels-idx1-ubyte", np.arange(count) % 10)
    return tmp_path


def test_mnist_is_read_from_its_files(mnist_files):
    dataset = load_data(DataConfig(name="mnist", root=str(mnist_files), val_fraction=0.25))
    assert dataset.shape == (1, 28, 28)
    assert {name: len(part) for name, part in dataset.parts.items()} == {
        "train": 30,
        "val": 10,
        "test": 20,
    }


def test_mnist_can_be_rgb_of_another_size(mnist_files):
    config = DataConfig(name="mnist", root=str(mnist_files), channels=3, image_size=14)
    dataset = load_data(config)
    assert dataset.shape == (3, 14, 14)
    assert dataset.mean == [0.1307] * 3


def test_without_a_network_the_message_says_what_to_do(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    with pytest.raises(UserError, match=r"(?s)downloaded.*no route.*QAT_DATA_DIR.*digits"):
        load_data(DataConfig(name="mnist", root=str(tmp_path)))


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and does not write about it."""

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(mnist_files):
    """The address of a server that has MNIST's compressed files."""
    handler = functools.partial(Quiet, directory=str(mnist_files / "MNIST" / "raw"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}/"
        serving.shutdown()


@pytest.fixture
def mnist_there(server, mnist_files, monkeypatch):
    """torchvision knows no other place for MNIST than ``server``, after one that is not there."""
    raw = mnist_files / "MNIST" / "raw"
    resources = [
        (path.name, hashlib.md5(path.read_bytes()).hexdigest()) for path in sorted(raw.glob("*.gz"))
    ]
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [f"{server}gone/", server])


def test_it_is_downloaded_once_and_said_on_standard_error(
    mnist_there, tmp_path, monkeypatch, capsys
):
    config = DataConfig(name="mnist", root=str(tmp_path / "new"))
    assert len(load_data(config).part("test")) == 20
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("downloading") == 4
    assert "downloading train-images-idx3-ubyte.gz (0.0 MB)" in said.err
    monkeypatch.setattr(urllib.request, "urlopen", None)  # a second download would call it
    assert len(load_data(config).part("test")) == 20
    assert not list((tmp_path / "new").rglob("*.part"))


def test_a_file_with_another_checksum_is_not_kept(mnist_there, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.MNIST, "resources", [("train-images-idx3-ubyte.gz", "0" * 32)])
    with pytest.raises(UserError, match="gone/.*404.*its checksum differs"):
        load_data(DataConfig(name="mnist", root=str(tmp_path / "new")))
    assert not [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
