"""``qat train`` with ``train.ema_decay``."""

import torch


def read(run, file):
    return torch.load(run / "checkpoints" / file, weights_only=True)


def test_the_average_is_validated_kept_as_the_best_and_resumed_exactly(
    ends_as_if_never_stopped, qat, tiny_recipe, four_bits, tmp_path
):
    arguments = ["--recipe", tiny_recipe, four_bits, "train.ema_decay=0.9"]
    whole, stopped = ends_as_if_never_stopped(arguments, step=8)
    assert whole["average"]["steps"] == stopped["average"]["steps"] == 12 - 4
    for name, value in whole["average"]["weights"].items():
        assert torch.equal(value, stopped["average"]["weights"][name]), name
    best, last = (read(tmp_path / "whole", file)["weights"] for file in ("best.pt", "last.pt"))
    assert not torch.equal(best["linear.weight"], last["linear.weight"])
    measured = qat("eval", "--checkpoint", "whole/checkpoints/best.pt", "--split", "val")
    assert "exactly the figures recorded" in measured.stdout
    qat("train", "--recipe", tiny_recipe, four_bits, "--out", "plain")
    plain = read(tmp_path / "plain", "last.pt")["weights"]
    assert all(torch.equal(plain[key], last[key]) for key in plain)
