"""What holds for every ready-made quantizer, whatever it computes; new ones are taken in."""

import copy
import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from qat import config, jit
from qat.components.scaling import reads_input
from qat.nn import QuantIdentity, QuantLinear
from qat.quantizers import ready_made, ready_made_names
from tools.docs.catalog import catalog, for_sample

ENTRIES = {each.name: each for each in catalog()}
NUMERIC = [name for name, each in ENTRIES.items() if each.arithmetic != "none"]
WEIGHTS = [name for name in NUMERIC if ENTRIES[name].role == "weight"]
IN_LAYERS = [name for name in ENTRIES if ENTRIES[name].role in ("weight", "bias", "activation")]
#: Parts that may read the tensor at hand.
FROM_TENSOR = ("scaling_impl", "pre_scaling_impl", "zero_point_impl", "threshold_impl")
#: Arithmetics whose grid has no zero.
WITHOUT_ZERO = ("BinaryQuant", "ClampedBinaryQuant", "EstimatedBinaryQuant", "DoReFaQuant")
COLUMNS = 40  # one group of 32, and a second that is not full


def is_fixed(quant):
    """Whether scale and zero point are constant, or those of an earlier tensor."""
    quant = getattr(quant, "group_quant", quant)
    parts = dict(quant.named_children())
    found = [part for name, part in parts.items() if name in FROM_TENSOR]
    is_changed_before = "prepare_impl" in parts
    return not is_changed_before and not any(map(reads_input, found))


@pytest.fixture(scope="module")
def references():
    """What :func:`measured` gives with Python ops, by name: computed once for all backends."""
    return {}


def measured(name, quantized):
    """Outputs and gradients in evaluation: those that are exact, and those that are sums."""
    result = quantized(name, torch.float32, COLUMNS)
    x = result.x.detach().clone().requires_grad_()
    y = result.quant(x, *result.arguments)[0]
    parameters = list(result.quant.parameters())
    weights = torch.linspace(-1, 1, y.numel()).reshape(y.shape)
    gradients = torch.autograd.grad((weights * y).sum(), [x, *parameters], allow_unused=True)
    to_x, to_parameters = gradients[0], list(gradients[1:])
    if is_fixed(result.quant):
        return [*result.outputs, y, to_x], to_parameters
    return [*result.outputs, y], [to_x, *to_parameters]  # sums reach x through its statistics


@pytest.mark.parametrize("name", NUMERIC)
def test_every_backend_gives_the_bits_of_the_reference(
    name, backend, quantized, references, monkeypatch
):
    exact, summed = measured(name, quantized)
    if name not in references:
        monkeypatch.setattr(config, "JIT_ENABLED", False)
        monkeypatch.setattr(config, "NATIVE_STE_BACKEND_ENABLED", False)
        references[name] = measured(name, quantized)
    exact_reference, summed_reference = references[name]
    assert all(map(torch.equal, exact, exact_reference))
    torch.testing.assert_close(summed, summed_reference)  # sums, each backend in its own order


@pytest.mark.parametrize("name", NUMERIC)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_types_give_half_types_close_to_float(name, dtype, quantized):
    result = quantized(name, dtype)
    y, scale, _, _ = (item.detach() for item in result.outputs)
    assert {item.dtype for item in result.outputs} == {dtype}
    assert bool(y.isfinite().all())
    # a value may land one step away, where the half type rounds x / scale differently
    y64 = quantized(name, torch.float64).outputs[0].detach()
    tolerance = 0.02 * float(y64.abs().max()) + 1.01 * largest_step(name, y, scale)
    assert float((y.double() - y64).abs().max()) <= tolerance


def largest_step(name, y, scale):
    """Widest gap between two neighbours of the grid."""
    if ENTRIES[name].arithmetic == "DoReFaQuant":
        return 2 * float(scale)
    mantissa = re.search(r"E\dM(\d)", ENTRIES[name].format)
    if mantissa is None:
        return float(scale.max())
    return float(y.abs().max()) / 2 ** int(mantissa.group(1))


@pytest.mark.parametrize("name", WEIGHTS)
def test_all_zero_weight_quantizes_to_numbers_next_to_zero(name, backend, further_arguments):
    layer = nn.Linear(3, 2)
    nn.init.zeros_(layer.weight)
    arguments = further_arguments(name, torch.float32)
    y, scale, *_ = ready_made(name).let(module=layer).tensor_quant(layer.weight, *arguments)
    assert bool((scale > 0).all())
    assert bool((y.abs() <= scale).all())
    assert not y.any() or ENTRIES[name].arithmetic in WITHOUT_ZERO


def made_layer(name, activation_shape):
    """A layer that holds the quantizer, and an input for it."""
    torch.manual_seed(2)
    role = ENTRIES[name].role
    if role == "activation":
        quantizer = for_sample(ready_made(name), nn.Linear(COLUMNS, 4))
        return QuantIdentity(act_quant=quantizer), torch.randn(activation_shape(quantizer, COLUMNS))
    inputs = {"input_quant": ready_made("Int8ActPerTensorFloat")}
    layer = QuantLinear(COLUMNS, 4, **{f"{role}_quant": ready_made(name)}, **inputs)
    return layer, torch.randn(3, COLUMNS)


def output(layer, x):
    return layer.eval()(x).detach()


def one_of_each_arithmetic():
    """Name of one quantizer per arithmetic and role."""
    found = {}
    for name in IN_LAYERS:
        found.setdefault((ENTRIES[name].arithmetic, ENTRIES[name].role), name)
    return sorted(found.values())


@pytest.fixture
def scripted(monkeypatch):
    """TorchScript, where this torch has it: copied, loaded and pickled in ways of its own."""
    if not jit.is_available():
        pytest.skip("this torch has no TorchScript, or PYTORCH_JIT=0 turns it off")
    monkeypatch.setattr(config, "JIT_ENABLED", True)


@pytest.mark.parametrize("name", IN_LAYERS)
def test_state_dict_restores_a_layer_exactly(name, activation_shape):
    layer, x = made_layer(name, activation_shape)
    layer(x)
    fresh, _ = made_layer(name, activation_shape)
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.add_(0.5)
    fresh.load_state_dict(layer.state_dict(), strict=True)
    assert torch.equal(output(fresh, x), output(layer, x))


@pytest.mark.parametrize("name", IN_LAYERS)
def test_copy_and_pickle_of_a_layer_compute_the_same(name, activation_shape):
    layer, x = made_layer(name, activation_shape)
    layer(x)
    pickled = pickle.dumps(layer)
    expected = output(layer, x)
    assert torch.equal(output(copy.deepcopy(layer), x), expected)
    assert torch.equal(output(pickle.loads(pickled), x), expected)


@pytest.mark.parametrize("name", one_of_each_arithmetic())
def test_scripted_layer_is_restored_copied_and_pickled(name, scripted, activation_shape):
    test_state_dict_restores_a_layer_exactly(name, activation_shape)
    test_copy_and_pickle_of_a_layer_compute_the_same(name, activation_shape)


@pytest.mark.parametrize("name", one_of_each_arithmetic())
def test_layer_compiles_into_one_graph(name, monkeypatch, activation_shape):
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    layer, x = made_layer(name, activation_shape)
    expected = output(layer, x)
    torch.compiler.reset()  # each test may compile the same forward anew
    # traced and functionalized, but not translated to C++, which would take seconds for each
    compiled = torch.compile(layer.eval(), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), expected)


@pytest.mark.parametrize("name", [n for n in NUMERIC if ENTRIES[n].granularity == "tensor"])
def test_order_is_kept(name, quantized):
    result = quantized(name, torch.float64, COLUMNS)
    in_order = result.outputs[0].detach().flatten()[result.x.detach().flatten().argsort()]
    assert bool((in_order.diff() >= 0).all())


@pytest.mark.parametrize("name", NUMERIC)
def test_quantizing_twice_on_the_same_grid_changes_nothing(name, quantized):
    constant = {}
    if ENTRIES[name].role == "weight":  # of which statistics would be taken anew
        constant = {"scaling_impl_type": "const", "scaling_const": 1.5}
    result = quantized(name, torch.float64, COLUMNS, **constant)
    if not is_fixed(result.quant):
        pytest.skip("its grid follows from the tensor at hand, in evaluation too")
    once = result.outputs[0].detach()
    assert torch.equal(result.quant(once, *result.arguments)[0].detach(), once)


@pytest.mark.parametrize("name", ENTRIES)
def test_first_line_of_its_docstring_says_what_it_is(name):
    first = inspect.getdoc(ready_made(name)).splitlines()[0]
    assert re.search(r"\b\d+ bit|not quantized|as it is", first), first
    bits = re.match(r"\d+(?= bit)", ENTRIES[name].format)
    assert bits is None or bits.group() in first


@pytest.mark.parametrize("name", ENTRIES)
def test_it_is_exported_by_name(name):
    from qat import quantizers

    assert getattr(quantizers, name) is ready_made(name)


def names_of_tests(files, session):
    """With their parameters; of this run where it has them all, for collecting takes long."""
    here = [item for item in session.items if item.path in files]
    if {item.path for item in here} == set(files):
        return [item.nodeid for item in here]
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *map(str, files)],
        capture_output=True,
        text=True,
    )
    return [collected.stdout]


def test_every_quantizer_stands_in_a_test_against_its_formula(request):
    """By name in a file of this folder, or as a parameter of one of its tests."""
    folder = Path(__file__).parent
    files = [path for path in folder.glob("test_*.py") if path != Path(__file__)]
    texts = [path.read_text() for path in files] + names_of_tests(files, request.session)
    words = {word for text in texts for word in re.findall(r"\w+", text)}
    assert set(ready_made_names()) - words == set()
