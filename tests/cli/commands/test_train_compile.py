"""``qat train --compile``."""

from functools import partial

import pytest
import torch

from qat_cli.engine.step import compiled
from qat_cli.errors import WorkFailed


def weights(folder):
    return torch.load(folder / "checkpoints" / "last.pt", weights_only=True)["weights"]


@pytest.fixture
def without_inductor(monkeypatch):
    """Traced and differentiated as for Inductor, but run by torch's own kernels: seconds, not
    minutes."""
    quick = partial(compiled.CompiledObjective, backend="aot_eager")
    monkeypatch.setattr(compiled, "CompiledObjective", quick)
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture
def two_layers(tmp_path):
    """A model as small as it can be: what takes time is compiling it, once for each phase."""
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def net(num_classes):\n"
        "    return nn.Sequential(nn.Conv2d(1, 2, 3, 2), nn.BatchNorm2d(2), nn.ReLU(),\n"
        "                         nn.Flatten(), nn.Linear(18, num_classes))\n"
    )
    return ["--model", "mine.py:net"]


def train_both(qat, tiny_recipe, *changes):
    for name, more in (("eager", []), ("compiled", ["--compile"])):
        base = ["train", "--recipe", tiny_recipe, "--backend", "python", "--out", name]
        result = qat(*base, *changes, *more)
        assert result.exit_code == 0, result.stderr
    return result


def test_a_compiled_run_ends_with_the_weights_of_an_eager_one(
    qat, tiny_recipe, four_bits, two_layers, tmp_path, without_inductor
):
    result = train_both(qat, tiny_recipe, four_bits, *two_layers)
    assert "compiling the model (aot_eager)" in result.stderr
    eager, through = weights(tmp_path / "eager"), weights(tmp_path / "compiled")
    assert list(eager) == list(through)  # no _orig_mod. in front
    for key in eager:
        torch.testing.assert_close(through[key], eager[key], rtol=1e-4, atol=1e-5)
    measured = qat("eval", "--checkpoint", "compiled/checkpoints/best.pt", *two_layers)
    assert "exactly the figures recorded" in measured.stdout


@pytest.mark.slow
def test_inductor_ends_close_to_an_eager_run(qat, tiny_recipe, four_bits, tmp_path, toolchain):
    torch.compiler.reset()
    train_both(qat, tiny_recipe, four_bits, "train.epochs=1")
    eager, through = weights(tmp_path / "eager"), weights(tmp_path / "compiled")
    for key in eager:
        torch.testing.assert_close(through[key], eager[key], rtol=1e-3, atol=1e-3)


def test_torchscript_quantizers_are_refused(qat, tiny_recipe, four_bits, tmp_path):
    result = qat("train", "--recipe", tiny_recipe, four_bits, "--backend", "jit", "--compile")
    assert result.exit_code == 2
    assert "train without --compile" in result.stderr
    assert not list((tmp_path / "runs").glob("*/*"))


def test_a_model_that_cannot_be_compiled_is_one_message(qat, tiny_recipe, monkeypatch):
    def broken(graph, inputs):
        raise OSError("no space for the code")

    monkeypatch.setattr(
        compiled, "CompiledObjective", partial(compiled.CompiledObjective, backend=broken)
    )
    torch.compiler.reset()
    result = qat("train", "--recipe", tiny_recipe, "--compile", "--out", "out")
    assert result.exit_code == WorkFailed.exit_code
    assert "torch.compile fails on the model" in result.stderr
    assert "no space for the code" in result.stderr
    assert "train without --compile" in result.stderr and "out/checkpoints/last.pt" in result.stderr
