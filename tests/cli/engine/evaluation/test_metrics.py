"""Loss and accuracy over batches."""

import pytest
import torch
from torch.nn import functional as F

from qat_cli.engine.evaluation.metrics import Tally


def test_figures_are_averages_over_all_images_not_over_batches():
    tally = Tally(torch.device("cpu"))
    logits, labels = torch.randn(10, 7), torch.randint(0, 7, (10,))
    for part in (slice(0, 8), slice(8, 10)):
        tally.add(F.cross_entropy(logits[part], labels[part]), logits[part], labels[part])
    metrics = tally.metrics()
    rank = (logits > logits.gather(1, labels[:, None])).sum(1)  # how many score above the label
    assert metrics.top1 == pytest.approx(100 * (rank == 0).float().mean().item())
    assert metrics.top5 == pytest.approx(100 * (rank < 5).float().mean().item())
    assert metrics.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-6)
    assert metrics.images == 10


def test_with_fewer_than_five_outputs_every_label_is_among_the_top_five():
    tally = Tally(torch.device("cpu"))
    tally.add(torch.tensor(1.0), torch.randn(4, 3), torch.tensor([0, 1, 2, 0]))
    assert tally.metrics().top5 == 100


def test_labels_with_probabilities_count_as_their_most_probable_class():
    hard, soft = Tally(torch.device("cpu")), Tally(torch.device("cpu"))
    logits, mixed = torch.randn(6, 7), torch.rand(6, 7)
    hard.add(torch.tensor(1.0), logits, mixed.argmax(1))
    soft.add(torch.tensor(1.0), logits, mixed)
    assert hard.metrics() == soft.metrics()


def test_a_tally_goes_on_from_its_state():
    first, second = Tally(torch.device("cpu")), Tally(torch.device("cpu"))
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    first.add(torch.tensor(0.3), logits, labels)
    second.load(first.state())
    for tally in (first, second):
        tally.add(torch.tensor(0.7), logits, labels)
    assert first.metrics() == second.metrics()
