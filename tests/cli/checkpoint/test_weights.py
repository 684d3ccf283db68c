"""State dicts from the files that people have."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from qat_cli.checkpoint import load_weights, read_weights
from qat_cli.errors import UserError


def model():
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def prefixed(state, prefix):
    return {prefix + key: value for key, value in state.items()}


@pytest.mark.parametrize("container", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_a_state_dict_is_found_wherever_it_sits(tmp_path, container, prefix):
    source, target = model(), model()
    state = prefixed(source.state_dict(), prefix)
    path = tmp_path / "w.pt"
    torch.save({container: state, "epoch": 3, "lr": 0.1} if container else state, path)
    load_weights(target, read_weights(path))
    assert torch.equal(target[0].weight, source[0].weight)


def test_safetensors_are_weights_too(tmp_path):
    source, target = model(), model()
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    load_weights(target, read_weights(tmp_path / "w.safetensors"))
    assert torch.equal(target[0].weight, source[0].weight)


def test_half_precision_weights_are_widened(tmp_path):
    torch.save(model().half().state_dict(), tmp_path / "w.pt")
    target = model()
    load_weights(target, read_weights(tmp_path / "w.pt"))
    assert target[0].weight.dtype == torch.float32


def test_counters_of_batch_norms_may_be_missing(tmp_path):
    state = model().state_dict()
    del state["1.num_batches_tracked"]
    torch.save(state, tmp_path / "w.pt")
    load_weights(model(), read_weights(tmp_path / "w.pt"))


def test_all_that_does_not_fit_is_listed_with_shapes(tmp_path):
    state = model().state_dict()
    state["0.weight"] = torch.zeros(5, 3)
    state["extra.weight"] = torch.zeros(4)
    del state["1.bias"]
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(UserError) as caught:
        load_weights(model(), read_weights(tmp_path / "w.pt"))
    text = str(caught.value)
    assert "w.pt does not fit the model" in text
    assert "0.weight: 5x3 in the file, 2x3 in the model" in text
    assert "missing from the file (1):\n    1.bias 2" in text
    assert "not in the model (1):\n    extra.weight 4" in text


def test_a_misfit_changes_nothing(tmp_path):
    torch.save({"0.weight": torch.zeros(2, 3)}, tmp_path / "w.pt")
    target = model()
    before = target[0].weight.clone()
    with pytest.raises(UserError):
        load_weights(target, read_weights(tmp_path / "w.pt"))
    assert torch.equal(target[0].weight, before)


@pytest.mark.parametrize("document", [[1, 2], {"epoch": 3}, torch.zeros(3)])
def test_a_file_without_a_state_dict_is_refused(tmp_path, document):
    torch.save(document, tmp_path / "w.pt")
    with pytest.raises(UserError, match="holds no state dict"):
        read_weights(tmp_path / "w.pt")


class Holding(nn.Module):
    """A model with all of its parts under one attribute, called as wrappers call theirs."""

    def __init__(self, name):
        super().__init__()
        self.add_module(name, model())


@pytest.mark.parametrize("name", ["module", "_orig_mod"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_a_model_whose_names_look_like_a_wrapper_loads_its_own_weights(tmp_path, name, prefix):
    source, target = Holding(name), Holding(name)
    torch.save(prefixed(source.state_dict(), prefix), tmp_path / "w.pt")
    load_weights(target, read_weights(tmp_path / "w.pt"))
    assert torch.equal(next(target.parameters()), next(source.parameters()))


def test_weights_of_a_model_with_a_wrapper_inside_fit_the_model_without(tmp_path):
    source, target = nn.Sequential(nn.DataParallel(model())), nn.Sequential(model())
    torch.save(source.state_dict(), tmp_path / "w.pt")
    load_weights(target, read_weights(tmp_path / "w.pt"))
    assert torch.equal(target[0][0].weight, source[0].module[0].weight)
