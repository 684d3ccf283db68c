"""Quantized models under fully_shard."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from qat.nn import QuantIdentity, QuantLinear, replicated_parameters

SCRIPT = Path(__file__).with_name("sharded.py")
needs_gloo = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this torch has no torch.distributed"
)


@needs_gloo
@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_sharded_model_trains_as_the_whole_one(count, tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(rank), str(count), str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    said = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    for out, err, code in said:
        assert code == 0, err
        scalars, difference, change = map(float, out.split()[-3:])
        assert scalars == 3 and change > 1e-3 and difference < 1e-4 * change


def test_replicated_parameters_are_the_scalar_ones_and_weights_are_not_reused():
    model = nn.Sequential(
        QuantIdentity(scaling_impl_type="parameter", scaling_init=1.0), QuantLinear(4, 4)
    )
    scale = model[0].act_quant.tensor_quant.scaling_impl.value
    assert replicated_parameters(model) == {scale}
    model.eval()
    weight = model[1].weight
    with torch.no_grad():
        before = model[1].quant_weight().value
        with torch.autograd._unsafe_preserve_version_counter(weight):
            weight.mul_(2.0)  # as sharding gathers a weight
        assert torch.equal(model[1].quant_weight().value, 2 * before)
