"""What training minimises."""

import pytest
import torch
from torch import nn

from qat_cli.engine.step.objective import Objective


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_mixed_labels_weigh_the_losses_of_their_classes(smoothing):
    # Cross-entropy is linear in the label: 0.3 of class 0 and 0.7 of class 2.
    torch.manual_seed(0)
    model, images = nn.Linear(4, 3), torch.randn(1, 4)
    mixed = torch.tensor([[0.3, 0.0, 0.7]])
    objective = Objective(smoothing)
    loss, logits = objective(model, images, mixed)
    first, third = (objective(model, images, torch.tensor([c]))[0].item() for c in (0, 2))
    assert loss.item() == pytest.approx(0.3 * first + 0.7 * third, rel=1e-5)
    assert torch.equal(logits, model(images))
