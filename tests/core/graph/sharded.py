"""Script of test_sharding.py: training steps of one process of several."""

import copy
import sys
import warnings

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, quantize_model
from qat.nn import replicated_parameters

EVERYTHING = Rule(
    "quant",
    LayerMatch(),
    {
        Role.WEIGHT: QuantizerChoice(
            "Int8WeightPerTensorFloat", {"scaling_impl_type": "parameter_from_stats"}
        ),
        Role.ACTIVATION: QuantizerChoice(
            "Uint8ActPerTensorFloat", {"scaling_impl_type": "parameter", "scaling_init": 2.0}
        ),
    },
)
STEPS, RATE, PER_PROCESS = 3, 5.0, 2


def converted():
    torch.manual_seed(0)
    # The weight of the last layer is one that would be kept for reuse.
    model = nn.Sequential(nn.Linear(8, 512), nn.ReLU(), nn.Linear(512, 512))
    return quantize_model(model, [EVERYTHING], torch.randn(2, 8)).model


def trained(model, x):
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for half in x.chunk(2):  # accumulated
            (model(half).square().mean() / 2).backward()
        optimizer.step()
    return model


def largest_difference(sharded, whole):
    differences = []
    for mine, theirs in zip(sharded.parameters(), whole.parameters(), strict=True):
        mine = mine.full_tensor() if hasattr(mine, "full_tensor") else mine
        differences.append((mine - theirs).abs().max().item())
    return max(differences)


def main(rank, count, store):
    warnings.simplefilter("ignore")
    dist.init_process_group("gloo", store=dist.FileStore(store, count), rank=rank, world_size=count)
    sharded, whole = converted(), converted()
    start = copy.deepcopy(whole)
    mesh = init_device_mesh("cpu", (count,))
    scalars = replicated_parameters(sharded)
    fully_shard(sharded, mesh=mesh, ignored_params=scalars)
    # Accumulated halves in another order give the same mean over all images.
    x = torch.randn(2, count, PER_PROCESS, 8, generator=torch.Generator().manual_seed(1))
    trained(sharded, x[:, rank].flatten(0, 1))
    trained(whole, x.flatten(0, 2))
    print(len(scalars), largest_difference(sharded, whole), largest_difference(start, whole))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
