"""The loss: of labels, and of a teacher beside them."""

import math

import pytest
import torch
from torch import nn

from qat_cli.engine.step.objective import Distillation, Objective, softened_divergence


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


def test_the_divergence_is_that_of_the_softened_softmaxes_times_the_squared_temperature():
    # By hand: 2*ln(3)/2 = ln(3), so the teacher is (3/4, 1/4) and the student (1/2, 1/2);
    # KL = 3/4*ln(3/2) + 1/4*ln(1/2), times 2**2.
    student = torch.zeros(1, 2)
    teacher = torch.tensor([[2 * math.log(3), 0.0]])
    expected = 4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert softened_divergence(student, teacher, 2.0).item() == pytest.approx(expected)


def test_the_divergence_from_oneself_is_zero_and_the_mean_is_over_the_batch():
    same, other = torch.randn(1, 5), torch.randn(1, 5)
    assert softened_divergence(same, same, 3.0).item() == pytest.approx(0, abs=1e-6)
    one = softened_divergence(same, other, 3.0)
    two = softened_divergence(same.repeat(2, 1), torch.cat([same, other]), 3.0)
    assert two.item() == pytest.approx(one.item() / 2, rel=1e-5)


@pytest.mark.parametrize(("weight", "share"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_labels_and_teacher_share_the_loss_and_only_the_student_learns(weight, share):
    torch.manual_seed(0)
    student, teacher = nn.Linear(3, 4), nn.Linear(3, 4)
    images, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 3, 0])
    loss, logits = Distillation(Objective(), teacher, weight, 4.0)(student, images, labels)
    from_labels, _ = Objective()(student, images, labels)
    from_teacher = softened_divergence(student(images), teacher(images), 4.0)
    expected = (1 - share) * from_labels + share * from_teacher
    assert torch.equal(logits, student(images))
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert student.weight.grad is not None and teacher.weight.grad is None
