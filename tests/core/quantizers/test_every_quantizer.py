"""Claims that hold for every ready-made quantizer; new ones are taken in."""

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
from qat.graph import LayerMatch, QuantizerChoice, Rule, Site, quantize_model
from qat.nn import QuantIdentity, QuantLinear
from qat.proxy import QuantProxy
from qat.quantizers import ready_made, ready_made_names
from tools.docs.catalog import catalog, for_sample
from tools.docs.catalog.arithmetic import class_name

ENTRIES = {each.name: each for each in catalog()}
NUMERIC = [name for name, each in ENTRIES.items() if each.arithmetic != "none"]
WEIGHTS = [name for name in NUMERIC if ENTRIES[name].role == "weight"]
IN_LAYERS = [name for name in ENTRIES if ENTRIES[name].role in ("weight", "bias", "activation")]
#: Parts that may read the tensor at hand.
FROM_TENSOR = ("scaling_impl", "pre_scaling_impl", "zero_point_impl", "threshold_impl")
#: Arithmetics whose grid has no zero.
WITHOUT_ZERO = ("BinaryQuant", "ClampedBinaryQuant", "EstimatedBinaryQuant", "DoReFaQuant")
HALF = (torch.float16, torch.bfloat16)
INPUT = ready_made("Int8ActPerTensorFloat")
COLUMNS = 40  # one group of 32, and a second that is not full


def structure(name):
    """Role and parts: quantizers that are alike in these differ in numbers only."""
    quant = for_sample(ready_made(name)).tensor_quant
    parts = quant.named_modules() if isinstance(quant, nn.Module) else ()
    return (ENTRIES[name].role, *((where, class_name(part)) for where, part in parts))


def one_of_each(kind, names):
    """The first name of each ``kind(name)``."""
    found = {}
    for name in names:
        found.setdefault(kind(name), name)
    return list(found.values())


def one_of_each_part(names):
    """Few quantizers that have all classes of parts among them."""
    left = {name: {part for _, part in structure(name)[1:]} for name in names}
    found, seen = [], set()
    while news := max((len(parts - seen) for parts in left.values()), default=0):
        name = next(name for name, parts in left.items() if len(parts - seen) == news)
        found.append(name)
        seen |= left.pop(name)
    return found


#: What differs in numbers only can fail only together, where the numbers go the same ways.
STRUCTURES = one_of_each(structure, NUMERIC)
PARTS = one_of_each_part(STRUCTURES)
STRUCTURES_IN_LAYERS = [name for name in STRUCTURES if name in IN_LAYERS]
ARITHMETICS = one_of_each(lambda name: ENTRIES[name].arithmetic, IN_LAYERS)
#: And those whose scale is of the tensor at hand, or of the batch.
COMPILED = [*ARITHMETICS, "Int8DynamicActPerRowFloat", "Int8ActPerTensorFloatBatchQuant1d"]
COMPILED += ["MXInt8Act"]


def is_fixed(quant):
    """Whether scale and zero point are constant, or those of an earlier tensor."""
    quant = getattr(quant, "group_quant", quant)
    parts = dict(quant.named_children())
    found = [part for name, part in parts.items() if name in FROM_TENSOR]
    is_changed_before = "prepare_impl" in parts
    return not is_changed_before and not any(map(reads_input, found))


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


@pytest.mark.parametrize(
    ("backend", "name"),
    [("native", name) for name in NUMERIC] + [("jit", name) for name in PARTS],
    indirect=["backend"],
)
def test_every_backend_gives_the_bits_of_the_reference(name, backend, quantized, monkeypatch):
    exact, summed = measured(name, quantized)
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    monkeypatch.setattr(config, "NATIVE_STE_BACKEND_ENABLED", False)
    exact_reference, summed_reference = measured(name, quantized)
    assert all(map(torch.equal, exact, exact_reference))
    torch.testing.assert_close(summed, summed_reference)  # sums, each backend in its own order


@pytest.mark.parametrize("name", NUMERIC)
def test_half_types_give_half_types_close_to_float_and_train(name, quantized):
    y64 = quantized(name, torch.float64).outputs[0].detach()
    for dtype in HALF:
        result = quantized(name, dtype)
        y, scale, _, _ = (item.detach() for item in result.outputs)
        assert {item.dtype for item in result.outputs} == {dtype}
        assert bool(y.isfinite().all())
        # a value may land one step away, where the half type rounds x / scale differently
        tolerance = 0.02 * float(y64.abs().max()) + 1.01 * largest_step(name, y, scale)
        assert float((y.double() - y64).abs().max()) <= tolerance

        x = result.x.detach().clone().requires_grad_()
        result.quant.train()(x, *result.arguments)[0].float().square().mean().backward()
        learned = [x, *result.quant.parameters()]
        assert all(bool(item.grad.isfinite().all()) for item in learned if item.grad is not None)


def largest_step(name, y, scale):
    """Widest gap between two neighbours of the grid."""
    if ENTRIES[name].arithmetic == "DoReFaQuant":
        return 2 * float(scale)
    mantissa = re.search(r"E\dM(\d)", ENTRIES[name].format)
    if mantissa is None:
        return float(scale.max())
    return float(y.abs().max()) / 2 ** int(mantissa.group(1))


@pytest.mark.parametrize("backend", ["python", "native"], indirect=True)
@pytest.mark.parametrize("name", WEIGHTS)
def test_all_zero_weight_quantizes_to_numbers_next_to_zero(name, backend, further_arguments):
    for dtype in (torch.float32,) if backend == "python" else (torch.float32, *HALF):
        layer = nn.Linear(3, 2).to(dtype)
        nn.init.zeros_(layer.weight)
        quant = ready_made(name).let(module=layer).tensor_quant.to(dtype)
        y, scale, *_ = quant(layer.weight, *further_arguments(name, dtype))
        assert bool((scale > 0).all())
        assert bool((y.abs() <= scale).all())
        assert not y.any() or ENTRIES[name].arithmetic in WITHOUT_ZERO


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


@pytest.mark.parametrize("name", [n for n in STRUCTURES if n in IN_LAYERS])
def test_delay_hands_the_input_through_at_first(name, quantized):
    result = quantized(name, torch.float32, COLUMNS, quant_delay_steps=2)  # one is over
    if "delay" not in str(result.quant.train()).lower():
        pytest.skip("its arithmetic takes no delay")
    x = result.x.detach()
    assert torch.equal(result.quant(x, *result.arguments)[0], x)
    assert not torch.equal(result.quant(x, *result.arguments)[0], x)


def made_layer(name, activation_shape):
    """A layer that holds the quantizer, and an input for it."""
    torch.manual_seed(2)
    role = ENTRIES[name].role
    if role == "activation":
        quantizer = for_sample(ready_made(name), nn.Linear(COLUMNS, 4))
        return QuantIdentity(act_quant=quantizer), torch.randn(activation_shape(quantizer, COLUMNS))
    needs_input = role == "bias" or "accumulator_bit_width" in ready_made(name)
    quantizers = {f"{role}_quant": ready_made(name), "input_quant": INPUT if needs_input else None}
    layer = QuantLinear(COLUMNS, 4, **quantizers)
    return layer, torch.randn(3, COLUMNS)


def output(layer, x):
    return layer.eval()(x).detach()


@pytest.fixture
def scripted(monkeypatch):
    """TorchScript, where this torch has it: copied, loaded and pickled in ways of its own."""
    if not jit.is_available():
        pytest.skip("this torch has no TorchScript, or PYTORCH_JIT=0 turns it off")
    monkeypatch.setattr(config, "JIT_ENABLED", True)


@pytest.mark.parametrize("name", [*STRUCTURES_IN_LAYERS, "NoneWeightQuant", "NoneActQuant"])
def test_state_dict_copy_and_pickle_restore_a_layer_exactly(name, activation_shape):
    layer, x = made_layer(name, activation_shape)
    layer(x)
    pickled = pickle.dumps(layer)
    fresh, _ = made_layer(name, activation_shape)
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.add_(0.5)
    fresh.load_state_dict(layer.state_dict(), strict=True)
    expected = output(layer, x)
    assert torch.equal(output(fresh, x), expected)
    assert torch.equal(output(copy.deepcopy(layer), x), expected)
    assert torch.equal(output(pickle.loads(pickled), x), expected)


@pytest.mark.parametrize("name", ARITHMETICS)
def test_scripted_layer_is_restored_copied_and_pickled(name, scripted, activation_shape):
    test_state_dict_copy_and_pickle_restore_a_layer_exactly(name, activation_shape)


@pytest.mark.parametrize("name", COMPILED)
def test_layer_compiles_into_one_graph(name, monkeypatch, activation_shape):
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    layer, x = made_layer(name, activation_shape)
    expected = output(layer, x)
    torch.compiler.reset()  # each test may compile the same forward anew
    # traced and functionalized, but not translated to C++, which would take seconds for each
    compiled = torch.compile(layer.eval(), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), expected)


class Several(nn.Module):
    """Layers side by side, each with an input of its own."""

    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, inputs):
        return [layer(x) for layer, x in zip(self.layers, inputs, strict=True)]


def several(names, activation_shape):
    layers, inputs = zip(*(made_layer(name, activation_shape) for name in names), strict=True)
    return Several(layers), inputs


def test_exported_evaluation_is_eager_evaluation(monkeypatch, activation_shape):
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    model, inputs = several(COMPILED, activation_shape)
    model(inputs)
    exported = torch.export.export(model.eval(), (inputs,))
    assert all(map(torch.equal, exported.module()(inputs), model(inputs)))


def test_empty_batches_pass(backend, activation_shape):
    names = ARITHMETICS if backend == "jit" else STRUCTURES_IN_LAYERS
    model, inputs = several(names, activation_shape)
    model(inputs)
    outputs = model.eval()([x[:0] for x in inputs])
    assert [len(out) for out in outputs] == [0] * len(outputs)


@pytest.mark.parametrize("name", STRUCTURES_IN_LAYERS)
def test_what_comes_out_is_a_valid_quantized_tensor(name, activation_shape):
    layer, x = made_layer(name, activation_shape)
    layer.return_quant_tensor = True
    made = layer.train()(x)
    if ENTRIES[name].role != "activation":
        made = getattr(layer, f"quant_{ENTRIES[name].role}")()
    assert made.is_valid
    if made.format is None or not ENTRIES[name].arithmetic.startswith("Float"):
        whole = ((made.int() - made.zero_point) * made.scale).detach()
        torch.testing.assert_close(whole, made.value.detach())


@pytest.mark.parametrize("name", [name for name in STRUCTURES if name in WEIGHTS])
def test_quantizer_is_shared_by_layers_unless_it_says_why_not(name):
    first = QuantLinear(4, 3, weight_quant=ready_made(name), input_quant=INPUT)
    try:
        second = QuantLinear(4, 3, weight_quant=first.weight_quant, input_quant=INPUT)
    except (NotImplementedError, ValueError) as error:
        assert re.search("2 (layers )?share", str(error))
        return
    x = torch.randn(2, 4)
    (first(x) + second(x)).sum().backward()
    assert first.weight.grad.shape == second.weight.grad.shape
    assert second.quant_weight().is_valid


@pytest.mark.parametrize("name", ARITHMETICS)
def test_whole_model_is_converted_by_name(name):
    site = Site(ENTRIES[name].role)
    choices = {Site.WEIGHT: QuantizerChoice("Int8WeightPerTensorFloat")}
    choices |= {Site.INPUT: QuantizerChoice("Int8ActPerTensorFloat"), site: QuantizerChoice(name)}
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2))
    x = torch.randn(3, 2, 5, 5)
    made = quantize_model(model, [Rule("quant", LayerMatch(), choices)], x).model
    made(x).sum().backward()
    held = [each.injector for each in made.modules() if isinstance(each, QuantProxy)]
    assert name in [injector.__name__ for injector in held if injector is not None]


@pytest.mark.parametrize("name", ENTRIES)
def test_it_is_exported_pickled_and_described_by_its_name(name):
    from qat import quantizers

    quantizer = ready_made(name)
    assert getattr(quantizers, name) is quantizer
    assert pickle.loads(pickle.dumps(quantizer)) is copy.deepcopy(quantizer) is quantizer
    first = inspect.getdoc(quantizer).splitlines()[0]
    assert re.search(r"\b\d+ bit|not quantized|as it is", first), first
    bits = re.match(r"\d+(?= bit)", ENTRIES[name].format)
    assert bits is None or bits.group() in first


def test_name_that_does_not_exist_names_the_nearest():
    with pytest.raises(ValueError, match="no ready-made quantizer .* did you mean 'Int8Bias'"):
        ready_made("int8bias")


def test_name_like_no_other_lists_them_all():
    with pytest.raises(
        ValueError, match=r"'q'\. All: .*, Int16Bias, .*, Uint8ActPerTensorFloatMaxInit"
    ):
        ready_made("q")


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
