"""ONNX files, run by onnxruntime and compared with the exact reference."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from qat.export import onnx_run, verify  # noqa: E402
from qat.export.lowering import lower  # noqa: E402
from qat.export.onnx_file import write_onnx, written_as  # noqa: E402
from qat.export.report import layer_lines  # noqa: E402
from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, quantize_model  # noqa: E402
from qat.ptq import calibration_mode  # noqa: E402

IMAGES = torch.randn(8, 3, 12, 12, generator=torch.Generator().manual_seed(1))


class Block(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.one, self.norm = nn.Conv2d(8, 8, 3, stride, 1, bias=False), nn.BatchNorm2d(8)
        self.two = nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.short = nn.Conv2d(8, 8, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = self.two(F.relu(self.norm(self.one(x))))
        y += self.short(x)
        return F.relu(y)


class Network(nn.Module):
    """Residual, depthwise, concatenated, pooled; a class for each of 5."""

    def __init__(self, middle=None):
        super().__init__()
        self.stem, self.pool = nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2)
        self.blocks = nn.Sequential(Block(1), Block(2))
        self.left, self.right = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 8, 3, padding=1)
        self.middle, self.mix = middle or nn.Identity(), nn.Conv2d(12, 12, 1)
        self.last = nn.Linear(12, 5)

    def forward(self, x):
        x = self.blocks(self.pool(F.relu6(self.stem(x))))
        x = torch.cat([F.relu(self.left(x)), self.middle(F.relu(self.right(x)))], 1)
        return self.last(F.adaptive_avg_pool2d(F.relu(self.mix(x)), 1).flatten(1))


def quantized(model, weight_bits=8, bits=8, images=IMAGES):
    shifted = QuantizerChoice("ShiftedUint8ActPerTensorFloatMSE", {"bit_width": bits})
    rule = Rule(
        "all", LayerMatch(),
        {
            Role.WEIGHT: QuantizerChoice("Int8WeightPerChannelFloat", {"bit_width": weight_bits}),
            Role.INPUT: shifted,
            Role.ACTIVATION: QuantizerChoice("Uint8ActPerTensorFloatMSE", {"bit_width": bits}),
            Role.ADD: shifted,
        },
        add_grid="own",
    )  # fmt: skip
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, -1.0, 1.5)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
    made = quantize_model(model.eval(), [rule], images).model
    with torch.no_grad(), calibration_mode(made):
        made(images)
    return made.eval()


@pytest.fixture(scope="module", params=[(8, 8), (4, 4), (2, 2)], ids=["8", "4", "2"])
def exported(request, tmp_path_factory):
    model = quantized(Network(), *request.param)
    program = lower(model, (IMAGES,)).program
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    return model, program, write_onnx(program, path, metadata={"classes": "a b"})


def all_rows(model, program, written, images=IMAGES):
    return [
        *verify.verify_parameters(program, written),
        *verify.verify_reference(program, written, images),
        *verify.verify_runtime(program, written, images, optimized=False),
        *verify.verify_runtime(program, written, images, optimized=True),
        *verify.verify_torch(program, model, images),
    ]


def test_every_level_of_the_proof_holds(exported):
    rows = all_rows(*exported)
    assert {row.level for row in rows} == {0, 1, 2, 3}
    assert not [row for row in rows if not row.holds]
    assert not any(row.differing for row in rows if row.level < 2)


def test_every_layer_sum_pool_and_concatenation_runs_in_integers(exported, tmp_path):
    _, program, written = exported
    lines = layer_lines(program, onnx_run.kernels(written))
    assert [line.layer for line in lines if not line.is_integer] == []
    onnx_run._session(str(written.path), optimized=True, kept=tmp_path / "kept.onnx")
    ran = [node.op_type for node in onnx.load(tmp_path / "kept.onnx").graph.node]
    found = {kind: ran.count(kind) for kind in ran}
    assert found["QLinearConv"] == 9 and found["QGemm"] == 1
    if any("Clip" in kind for kind in found):  # below 8 bit a clip stands in front of each
        return
    assert found["QLinearAdd"] == 2 and found["QLinearConcat"] == 1
    assert found["QLinearGlobalAveragePool"] == 1
    assert not {"Conv", "FusedConv", "Relu", "Add", "Gemm"} & found.keys()


def test_any_batch_runs_and_the_answers_are_those_of_torch(exported):
    model, program, written = exported
    for count in (1, 3):
        _, made = onnx_run.run_onnx(written, program, IMAGES[:count], optimized=True)
        with torch.no_grad():
            ours = model(IMAGES[:count])
        assert made.shape == ours.shape
        assert bool((made - ours).abs().max() <= 0.35 * ours.abs().max())


def test_names_and_properties_are_in_the_file(exported):
    _, program, written = exported
    model = onnx.load(written.path)
    assert {each.key: each.value for each in model.metadata_props} == {"classes": "a b"}
    assert {node.name.partition("/")[0] for node in model.graph.node} >= {"stem", "blocks.1.short"}
    assert written_as(program, written.path).integers == written.integers


def test_fewer_bits_make_a_smaller_file(tmp_path):
    sizes = {}
    for bits, opset in ((8, 21), (4, 21), (2, 25)):
        network = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3))
        program = lower(quantized(network, bits), (IMAGES,)).program
        sizes[bits] = write_onnx(program, tmp_path / f"{bits}.onnx", opset).bytes
    weights = 64 * 64 * 9 + 64 * 27
    for bits, size in sizes.items():
        assert weights * bits / 8 < size < weights * bits / 8 + 5000


def test_other_operations_are_torchs_own_and_agree(tmp_path):
    model = quantized(Network(nn.Sequential(nn.Hardswish(), nn.ChannelShuffle(2), nn.SiLU())))
    program = lower(model, (IMAGES,)).program
    written = write_onnx(program, tmp_path / "float.onnx")
    assert all(row.holds for row in all_rows(model, program, written))


@pytest.mark.parametrize("what", ["weight", "scale", "bias"])
def test_a_changed_number_is_found(exported, what, tmp_path):
    model, program, written = exported
    changed = onnx.load(written.path)
    (constant,) = [each for each in changed.graph.initializer if each.name == NAMES[what](program)]
    raw = bytearray(constant.raw_data)
    raw[0] ^= 1
    constant.raw_data = bytes(raw)
    path = tmp_path / "changed.onnx"
    onnx.save(changed, path)
    rows = verify.verify_parameters(program, written_as(program, path))
    failed = [(row.layer, row.what, row.differing) for row in rows if not row.holds]
    assert failed == [("stem", what, 1)]


def _stem(program):
    order = [*program.values]
    (layer,) = [each for each in program.operations if each.layer == "stem" and each.weight]
    return f"v{order.index(layer.output)}"


NAMES = {
    "weight": lambda program: f"{_stem(program)}w",
    "scale": lambda program: f"{_stem(program)}ws",
    "bias": lambda program: f"{_stem(program)}b",
}


def test_a_difference_that_is_no_tie_fails(exported):
    model, program, written = exported
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.stem.bias.add_(0.3)
    rows = verify.verify_torch(program, other, IMAGES)
    assert any(not row.holds and row.layer for row in rows)


def test_a_file_of_another_network_is_said_to_be_one(exported, tmp_path):
    _, program, _ = exported
    other = lower(quantized(nn.Sequential(nn.Conv2d(3, 4, 1))), (IMAGES,)).program
    write_onnx(other, tmp_path / "other.onnx")
    with pytest.raises(onnx_run.WrongFile, match="it is of another network"):
        verify.verify_parameters(program, written_as(program, tmp_path / "other.onnx"))
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(onnx_run.WrongFile, match="no ONNX file"):
        verify.verify_parameters(program, written_as(program, tmp_path / "text.onnx"))


def test_an_opset_that_is_not_written_is_refused(exported, tmp_path):
    with pytest.raises(ValueError, match="opset 13 is not written; choose 21 or 25"):
        write_onnx(exported[1], tmp_path / "old.onnx", 13)
    assert not [*tmp_path.iterdir()]


def test_a_transformer_is_proven_for_another_batch_than_the_one_that_was_traced(tmp_path):
    from torchvision.models import VisionTransformer

    images = torch.randn(5, 3, 16, 16)
    model = quantized(VisionTransformer(16, 8, 2, 2, 16, 32), images=images)
    program = lower(model, (images[:2],)).program
    written = write_onnx(program, tmp_path / "transformer.onnx")
    assert all(row.holds for row in all_rows(model, program, written, images))
    assert sum(program.computes_integers(each) for each in program.operations) == 10


NETWORKS = {
    "resnet18": 21, "mobilenet_v2": 53, "mobilenet_v3_small": 54, "efficientnet_b0": 82,
    "densenet121": 121, "googlenet": 58, "shufflenet_v2_x0_5": 57, "squeezenet1_1": 26,
    "regnet_y_400mf": 86, "convnext_tiny": 59, "vit_b_16": 50, "swin_t": 53,
}  # fmt: skip
IN_CI = ("resnet18", "mobilenet_v2")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in IN_CI else pytest.mark.slow) for n in NETWORKS]
)
def test_classifiers_of_torchvision_are_exported_and_proven(name, tmp_path):
    from torchvision import models

    torch.manual_seed(0)
    more = {"init_weights": True} if name == "googlenet" else {}
    images = torch.randn(3, 3, *[224 if name == "vit_b_16" else 64] * 2)
    model = quantized(models.get_model(name, **more), images=images)
    program = lower(model, (images[:2],)).program
    written = write_onnx(program, tmp_path / "network.onnx")
    rows = all_rows(model, program, written, images)
    print(name, sum(row.compared for row in rows), sum(row.differing for row in rows))
    assert [row for row in rows if not row.holds] == []
    layers = layer_lines(program, onnx_run.kernels(written))
    assert sum(each.weight != "float" for each in layers) == NETWORKS[name]
    assert name not in IN_CI or all(each.is_integer for each in layers)
