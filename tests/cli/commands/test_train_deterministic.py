"""``qat train --deterministic``."""

import json

import torch


def test_the_run_says_that_it_is_deterministic_and_torchs_mode_comes_back(
    qat, tiny_recipe, tmp_path
):
    result = qat("train", "--recipe", tiny_recipe, "--epochs", "1", "--deterministic", "--out", "a")
    assert result.exit_code == 0, result.stderr
    assert json.loads((tmp_path / "a" / "summary.json").read_text())["deterministic"] is True
    assert not torch.are_deterministic_algorithms_enabled()


def test_an_operation_that_cannot_repeat_is_an_error_that_names_it(qat, tiny_recipe, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Puts(nn.Module):\n"
        "    def forward(self, x):\n"
        "        index = torch.zeros(2, dtype=torch.int64)\n"
        "        torch.zeros(4).put_(index, torch.rand(2))\n"
        "        return x\n"
        "def net(num_classes):\n"
        "    return nn.Sequential(Puts(), nn.Flatten(), nn.Linear(64, num_classes))\n"
    )
    base = ["train", "--recipe", tiny_recipe, "--epochs", "1", "--model", "mine.py:net"]
    assert qat(*base, "--out", "free").exit_code == 0
    result = qat(*base, "--deterministic", "--out", "strict")
    assert result.exit_code == 1
    assert "train.deterministic: put_ does not have a deterministic" in result.stderr
    assert "leave --deterministic out" in result.stderr and "Traceback" not in result.stderr
