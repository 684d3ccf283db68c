"""The measured models are what the rows call them."""

import pytest
import torch

from benchmarks.resnet20 import VARIANTS, WARMUP, make_batch, make_model, training_step


@pytest.mark.parametrize(("variant", "collects"), [("learned", False), ("collecting", True)])
def test_the_warm_up_decides_the_phase(variant, collects):
    model = make_model(variant)
    images, labels = make_batch(torch.device("cpu"))
    step = training_step(model, images[:4, :, :8, :8], labels[:4])

    for _ in range(WARMUP):
        step()

    phases = [m.collecting for m in model.modules() if hasattr(m, "collecting")]
    assert phases and set(phases) == {collects}


def test_the_float_model_has_the_size_of_resnet20():
    parameters = sum(p.numel() for p in make_model("float").parameters())

    assert parameters == pytest.approx(272_474, rel=0.01)  # He et al. 2016: 0.27 M


def test_a_step_changes_the_weights():
    model = make_model("binary")
    before = [p.detach().clone() for p in model.parameters()]
    images, labels = make_batch(torch.device("cpu"))

    training_step(model, images[:4, :, :8, :8], labels[:4])()

    after = list(model.parameters())
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_every_variant_but_float_names_a_recipe():
    assert [v for v, chosen in VARIANTS.items() if chosen is None] == ["float"]
