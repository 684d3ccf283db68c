"""Counting which class was taken for which."""

import torch

from qat_cli.engine.evaluation.confusion import ConfusionTally
from qat_cli.engine.evaluation.metrics import Tally

CPU = torch.device("cpu")


def logits_of(predictions, outputs):
    return torch.nn.functional.one_hot(torch.tensor(predictions), outputs).float()


def test_pairs_of_true_and_predicted_class_are_counted_over_batches():
    tally = ConfusionTally(CPU, 3)
    tally.add(torch.tensor(0.0), logits_of([0, 1, 1], 3), torch.tensor([0, 1, 2]))
    tally.add(torch.tensor(0.0), logits_of([1, 0], 3), torch.tensor([2, 2]))
    assert tally.counts() == [[1, 0, 0, 0], [0, 1, 0, 0], [1, 2, 0, 0]]


def test_outputs_that_are_no_class_of_the_data_are_one_column():
    tally = ConfusionTally(CPU, 2)
    tally.add(torch.tensor(0.0), logits_of([1, 4, 5], 6), torch.tensor([1, 0, 0]))
    assert tally.counts() == [[0, 0, 2], [0, 1, 0]]


def test_figures_are_those_of_a_plain_tally_and_the_diagonal_is_top1_also_with_ties():
    plain, confusion = Tally(CPU), ConfusionTally(CPU, 4)
    logits, labels = torch.randint(0, 2, (50, 4)).float(), torch.randint(0, 4, (50,))
    for tally in (plain, confusion):
        tally.add(torch.tensor(0.5), logits, labels)
    assert confusion.metrics() == plain.metrics()
    hits = sum(row[i] for i, row in enumerate(confusion.counts()))
    assert 100 * hits / 50 == plain.metrics().top1
