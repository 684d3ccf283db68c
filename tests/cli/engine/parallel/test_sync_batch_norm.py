"""Batch norms that are replaced by synchronised ones; their numbers: test_two_processes.py."""

import pytest
import torch
from torch import nn

from qat_cli.engine.parallel.sync_batch_norm import SyncBatchNorm, synchronise_batch_norms


@pytest.mark.parametrize(("device", "kind"), [("cpu", SyncBatchNorm), ("cuda", nn.SyncBatchNorm)])
def test_a_replaced_layer_keeps_its_tensors_names_mode_and_places(device, kind):
    shared = nn.BatchNorm2d(3).eval()
    model = nn.Sequential(nn.Conv2d(2, 3, 1), shared, nn.ReLU(), shared)
    state = model.state_dict(keep_vars=True)
    assert synchronise_batch_norms(model, torch.device(device)) == 1
    assert type(model[1]) is kind and model[3] is model[1] and not model[1].training
    after = model.state_dict(keep_vars=True)
    assert list(after) == list(state)
    assert all(after[name].data_ptr() == tensor.data_ptr() for name, tensor in state.items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch's layer is for GPUs")
def test_torchs_layer_in_one_process_gives_the_figures_of_a_plain_one():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.BatchNorm2d(3)).cuda()
    x = torch.randn(4, 3, 5, 5, device="cuda")
    expected = plain(x)
    synchronise_batch_norms(plain, torch.device("cuda"))
    torch.testing.assert_close(plain(x), expected)
