"""``qat train --precision``."""

import pytest
import torch


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_run_in_half_precision_resumes_exactly_and_keeps_its_state_in_float32(
    ends_as_if_never_stopped, qat, tiny_recipe, four_bits, tmp_path, precision
):
    arguments = ["--recipe", tiny_recipe, four_bits, "--precision", precision]
    whole, stopped = ends_as_if_never_stopped(arguments, step=3)
    assert whole["scaler"] == stopped["scaler"]
    assert bool(whole["scaler"]) is (precision == "float16")
    last = torch.load(tmp_path / "whole" / "checkpoints" / "last.pt", weights_only=True)
    assert {v.dtype for v in last["weights"].values() if v.is_floating_point()} == {torch.float32}
    measured = qat("eval", "--checkpoint", "whole/checkpoints/best.pt")
    assert "exactly the figures recorded" in measured.stdout


def test_half_precision_gives_other_weights_than_float32(qat, tiny_recipe, tmp_path):
    base = ["train", "--recipe", tiny_recipe, "--epochs", "1"]
    for precision in ("float32", "bfloat16"):
        assert qat(*base, "--precision", precision, "--out", precision).exit_code == 0
    full, half = (
        torch.load(tmp_path / name / "checkpoints" / "last.pt", weights_only=True)["weights"]
        for name in ("float32", "bfloat16")
    )
    assert not torch.equal(full["linear.weight"], half["linear.weight"])
    torch.testing.assert_close(full["linear.weight"], half["linear.weight"], rtol=0, atol=0.05)
