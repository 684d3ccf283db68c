"""Copies of a model that share its tensors."""

import functools
import threading
import warnings
import weakref

import pytest
import torch
from torch import fx, nn
from torch.nn.utils import parametrizations, parametrize, spectral_norm, weight_norm

from qat import torchscript
from qat.graph.tracing.copying import copy_sharing_tensors


class Model(nn.Module):
    """Holds its parts, and the ways to them, in every manner that people have."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(4)
        self.again = self.norm
        self.drop = nn.Dropout(0.5)
        self.listed = [self.first, self.second]
        self.named = {"norm": self.norm, "deep": ([self.drop],)}
        self.bound = self.first.forward
        self.partial = functools.partial(self.scaled, by=2.0)
        self.captured = lambda x: self.first(x)
        self.cached = functools.lru_cache(self.width)
        self.weak = weakref.ref(self.second)
        self.hidden = [nn.Linear(4, 4)]
        self.plain = torch.ones(4)
        self.view = self.first.weight.detach()[0]
        self.unregistered = torch.ones(4, requires_grad=True)
        self.history = self.first.weight * 2
        self.lock = threading.Lock()
        self.stream = (index for index in range(3))
        self.generator = torch.Generator().manual_seed(3)
        self.mark = object()
        self.register_buffer("seen", torch.zeros(()), persistent=False)
        self.handle = self.norm.register_forward_hook(self.watch)
        self.count = 0

    def width(self):
        return self.first.in_features

    def scaled(self, x, by):
        return self.first(x) * by

    def watch(self, module, args, output):
        self.count += 1
        return output

    def forward(self, x):
        x = self.captured(x) + self.partial(x) + self.bound(x)
        return self.drop(self.again(self.listed[1](x))) + self.hidden[0](x) + self.plain


def outline(model):
    """Everything that must be as before: attributes, modes, hooks, and the bits of all tensors."""
    held = [*model.named_parameters(), *model.named_buffers()]
    tensors = [(name, id(t), t._version, t.requires_grad, t.clone()) for name, t in held]
    modules = [
        (name, id(part), type(part), part.training, list(vars(part)), hooks(part))
        for name, part in model.named_modules(remove_duplicate=False)
    ]
    return modules, tensors


def hooks(module):
    return [list(held) for name, held in vars(module).items() if name.endswith("_hooks")]


def assert_same(before, after):
    assert before[0] == after[0]
    for (*kind, value), (*kind_now, value_now) in zip(before[1], after[1], strict=True):
        assert kind == kind_now and torch.equal(value, value_now)


def changed_all_over(copied):
    """Switch modes, add attributes and hooks, exchange parts."""
    copied.eval()
    for module in list(copied.modules()):
        module.register_forward_hook(lambda *_: None)
        module.register_forward_pre_hook(lambda *_: None)
        module.register_state_dict_post_hook(lambda *_: None)
        module.new_attribute = 1
        module.register_buffer("new_buffer", torch.ones(()))
    for name, _ in list(copied.named_children()):
        setattr(copied, name, nn.Identity())


def with_old_weight_norm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.Sequential(weight_norm(nn.Linear(4, 4)), nn.ReLU())


def with_old_spectral_norm():
    return nn.Sequential(spectral_norm(nn.Linear(4, 4)), nn.ReLU())


def with_parametrizations():
    normed = parametrizations.weight_norm(nn.Linear(4, 4))
    return nn.Sequential(normed, parametrizations.spectral_norm(nn.Linear(4, 4)))


def traced():
    return fx.symbolic_trace(nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU())))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 4, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0]


MODELS = {
    "every manner": Model,
    "old weight norm": with_old_weight_norm,
    "old spectral norm": with_old_spectral_norm,
    "parametrizations": with_parametrizations,
    "graph module": traced,
    "lstm": Recurrent,
}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


def test_copy_computes_the_same_from_the_same_tensors(model):
    model.eval()
    copied = copy_sharing_tensors(model)
    x = torch.randn(3, 4)
    assert torch.equal(copied(x), model(x))
    assert list(copied.state_dict()) == list(model.state_dict())
    for mine, theirs in zip(copied.parameters(), model.parameters(), strict=True):
        assert mine is theirs
    for mine, theirs in zip(copied.buffers(), model.buffers(), strict=True):
        assert mine is theirs


def test_no_module_is_in_both(model):
    copied = copy_sharing_tensors(model)
    assert not {*map(id, copied.modules())} & {*map(id, model.modules())}
    paths = [name for name, _ in model.named_modules()]  # those of shared modules once
    assert [name for name, _ in copied.named_modules()] == paths


def test_nothing_done_to_the_copy_is_seen_in_the_model(model):
    before = outline(model)
    changed_all_over(copy_sharing_tensors(model))
    assert_same(before, outline(model))


def test_references_of_every_kind_lead_to_the_copy():
    model = Model()
    copied = copy_sharing_tensors(model)
    assert copied.listed == [copied.first, copied.second] and copied.again is copied.norm
    assert copied.named["norm"] is copied.norm and copied.named["deep"][0][0] is copied.drop
    assert copied.bound.__self__ is copied.first
    assert copied.partial.func.__self__ is copied
    assert copied.captured.__closure__[0].cell_contents is copied
    assert copied.cached.__wrapped__.__self__ is copied
    assert copied.weak() is copied.second
    (hook,) = copied.norm._forward_hooks.values()
    assert hook.__self__ is copied and model.norm._forward_hooks.keys() == {copied.handle.id}
    assert copied.hidden[0] is not model.hidden[0]
    assert copied.hidden[0].weight is model.hidden[0].weight


def test_hook_of_the_copy_counts_in_the_copy_and_its_handle_removes_it_there():
    model = Model()
    copied = copy_sharing_tensors(model)
    copied(torch.randn(3, 4))
    assert (copied.count, model.count) == (1, 0)
    copied.handle.remove()
    assert not copied.norm._forward_hooks and model.norm._forward_hooks


def test_plain_tensor_is_copied_unless_it_is_trained_or_a_view_of_what_is_shared():
    model = Model()
    copied = copy_sharing_tensors(model)
    assert copied.plain is not model.plain and torch.equal(copied.plain, model.plain)
    assert copied.view is model.view
    assert copied.unregistered is model.unregistered and copied.history is model.history


def test_what_cannot_be_copied_is_shared_and_a_mark_stays_the_same():
    model = Model()
    copied = copy_sharing_tensors(model)
    assert copied.lock is model.lock and copied.stream is model.stream
    assert copied.mark is model.mark
    assert copied.generator is not model.generator
    torch.rand(1, generator=copied.generator)
    assert torch.equal(model.generator.get_state(), torch.Generator().manual_seed(3).get_state())


def test_parametrizations_of_the_copy_are_removed_there_only():
    model = with_parametrizations()
    copied = copy_sharing_tensors(model)
    parametrize.remove_parametrizations(copied[0], "weight")
    assert parametrize.is_parametrized(model[0], "weight")
    model[0](torch.randn(2, 4))


def test_old_weight_norm_of_the_copy_computes_the_weight_from_the_shared_parameters():
    model = with_old_weight_norm()
    copied = copy_sharing_tensors(model)
    copied(torch.randn(3, 4)).sum().backward()
    assert model[0].weight_v.grad is not None


def test_copies_of_a_graph_module_have_code_of_their_own():
    model = traced()
    copied = copy_sharing_tensors(model)
    copied.graph.output_node().replace_input_with(
        copied.graph.output_node().args[0], next(iter(copied.graph.nodes))
    )
    copied.recompile()
    x = torch.randn(2, 4)
    assert copied(x) is x and not torch.equal(model(x), x)


def test_compiled_functions_are_left_behind():
    model = Model()
    model.captured = torch.compile(model.scaled)
    model.first.compile()
    copied = copy_sharing_tensors(model)
    assert copied.captured == copied.scaled
    assert copied.first._compiled_call_impl is None and model.first._compiled_call_impl is not None


@pytest.mark.skipif(not torchscript.is_available(), reason="this torch has no TorchScript")
def test_scripted_submodule_has_its_own_mode_and_the_same_tensors():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)))
    model = nn.Sequential(scripted, nn.ReLU())
    copied = copy_sharing_tensors(model).eval()
    assert [part.training for part in model.modules()] == [True] * 5
    assert copied.get_parameter("0.0.weight") is model.get_parameter("0.0.weight")
    x = torch.randn(3, 4)
    assert torch.equal(copied(x), copied(x)) and not copied.get_submodule("0.1").training


def test_long_chain_of_references_is_copied():
    layers = [nn.Linear(1, 1) for _ in range(600)]
    for layer, following in zip(layers, layers[1:], strict=False):
        object.__setattr__(layer, "following", following)
    copied = copy_sharing_tensors(nn.Sequential(*layers))
    assert copied[5].following is copied[6]
