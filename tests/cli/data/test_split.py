"""Splits that keep the share of every class."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from qat_cli.data.split import stratified_split

LABELS = torch.tensor([0] * 10 + [1] * 20 + [2] * 5)


def test_every_class_gives_up_its_share():
    kept, held = stratified_split(LABELS, 0.2, seed=0)
    assert LABELS[held].bincount().tolist() == [2, 4, 1]
    assert LABELS[kept].bincount().tolist() == [8, 16, 4]


@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 9),
)
def test_the_two_parts_are_all_positions_once_and_no_class_vanishes(labels, fraction, seed):
    tensor = torch.tensor(labels)
    kept, held = stratified_split(tensor, fraction, seed)
    assert sorted(kept.tolist() + held.tolist()) == list(range(len(labels)))
    assert set(tensor[kept].tolist()) == set(labels)
    counts = tensor.bincount()
    assert set(tensor[held].tolist()) == {label for label in set(labels) if counts[label] > 1}


def test_the_seed_chooses_who_is_held_back():
    first, again, other = (stratified_split(LABELS, 0.2, seed)[1] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
