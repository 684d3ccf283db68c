"""``qat train``: a run that diverges although its loss is finite."""

import torch

from qat_cli.engine.step import step


def test_weights_that_are_not_finite_are_not_saved_over_good_ones(
    qat, tiny_recipe, tmp_path, monkeypatch
):
    # What a step with an infinite gradient leaves; it is the last of the second epoch.
    steps = []

    def spoil(latent, limit):
        steps.append(None)
        if len(steps) == 12:
            with torch.no_grad():
                spoilt.fill_(torch.inf)

    original = step.Step.finish

    def finish(self, model):
        nonlocal spoilt
        spoilt = model.linear.bias
        original(self, model)

    spoilt = None
    monkeypatch.setattr(step, "clamp_latent", spoil)
    monkeypatch.setattr(step.Step, "finish", finish)
    result = qat("train", "--recipe", tiny_recipe, "--out", "out")
    assert result.exit_code == 1
    assert "'linear.bias' holds numbers that are not finite after epoch 2" in result.stderr
    assert "The last good state is out/checkpoints/last.pt" in result.stderr
    last = torch.load(tmp_path / "out" / "checkpoints" / "last.pt", weights_only=True)
    assert last["training"]["state"]["epoch"] == 1
    assert all(v.isfinite().all() for v in last["weights"].values())


def test_a_loss_that_grows_far_beyond_guessing_ends_the_run(qat, tiny_recipe):
    # The rate climbs through all epochs, to where each step throws the classifier further away.
    result = qat(
        "train", "--recipe", tiny_recipe, "--epochs", "4", "--lr", "1000",
        "schedule.warmup_epochs=4", "train.divergence_factor=1.5",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "training diverged: the mean loss of epoch" in result.stderr
    assert "than 1.5 times what the first epoch, or guessing, has" in result.stderr
