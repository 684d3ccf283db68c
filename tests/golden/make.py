"""Maker of the golden files.

``python tests/golden/make.py`` was run once, before the code was rearranged. The files say what
people have on their disks and in their programs, so they are not made again for a test to pass;
no test runs this script, and it looks into the code as that was then. ``make.py layers``,
``names``, ``runs`` or ``recipes`` makes one kind alone.
"""

import contextlib
import importlib
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import torch
from docs.porting_names import ports
from qat.quantizers.catalog.sample import starts_at_bounds, word
from qat.quantizers.ready_made import ready_made_names
from qat.quantizers.role_table import role_of
from safetensors.torch import save_file

from qat import config, quantizers
from qat.inject import ExtendedInjector
from qat_cli.recipes import list_recipes, load_recipe

HERE = Path(__file__).parent
COLUMNS, ROWS = 33, 4  # one group of 32, and a second that is not full


def dyadic(*shape, seed):
    """Normal numbers rounded to 1/64: their sums are exact, in whatever order they are taken."""
    made = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return (made * 64).round() / 64


INPUTS = {
    "rows": dyadic(3, COLUMNS, seed=1),
    "signals": dyadic(2, 3, 6, seed=2),
    "images": dyadic(2, 3, 4, 4, seed=6),
}
PARAMETERS = {"weight": dyadic(ROWS, COLUMNS, seed=4), "bias": dyadic(ROWS, seed=5)}
#: An accumulator of 12 bits in a scale that is a power of two.
ACCUMULATOR = [
    "QuantIdentity",
    [],
    {
        "act_quant": "Int8ActPerTensorFixedPoint",
        "scaling_impl_type": "const",
        "min_val": -4.0,
        "max_val": 4.0,
        "bit_width": 12,
        "return_quant_tensor": True,
    },
]
IN, OUT = {"input_quant": "Int8ActPerTensorFloat"}, {"output_quant": "Int8ActPerTensorFloat"}
ACT = {"act_quant": "Uint8ActPerTensorFloat"}
#: Layers whose state has names of its own; what they compute is a sum, or that of a quantizer.
LAYERS = {
    "linear, all roles": ["QuantLinear", [5, 3], {**IN, **OUT, "bias_quant": "Int8Bias"}],
    "conv1d": ["QuantConv1d", [2, 3, 3], {"weight_quant": "Int8WeightPerChannelFloatMSE"}],
    "conv2d": ["QuantConv2d", [2, 3, 3], {"weight_quant": "Int8WeightPerChannelFloatMSE"}],
    "conv3d": ["QuantConv3d", [2, 3, 3], {"weight_quant": "Int8WeightPerChannelFloatMSE"}],
    "transposed": ["QuantConvTranspose2d", [2, 3, 3], {"weight_quant": "LSQWeightPerChannel"}],
    "embedding": ["QuantEmbedding", [6, 4], {}],
    "float": ["QuantLinear", [5, 3], {"weight_quant": None}],
    "scale and bias": ["QuantScaleBias", [3, True], {}],
    "batch norm": ["BatchNorm2dToQuantScaleBias", [3], {}],
    "add": ["QuantEltwiseAdd", [], {**IN, **OUT}],
    "cat": ["QuantCat", [], {**IN, **OUT, "tie_input_output_quant": True}],
    "average pool": ["QuantAvgPool2d", [2], OUT],
    "truncated pool": ["TruncAvgPool2d", [2], {"trunc_quant": "ShiftRoundSaturateTo8bit"}],
    "upsample": ["QuantUpsample", [], {**OUT, "scale_factor": 2}],
    "relu": ["QuantReLU", [], {**IN, **ACT}],
    "sigmoid": ["QuantSigmoid", [], ACT],
    "tanh": ["QuantTanh", [], {}],
    "hard tanh": ["QuantHardTanh", [], {"min_val": -1.0, "max_val": 1.0}],
    "rnn": ["QuantRNN", [3, 4], {"num_layers": 2}],
    "lstm": ["QuantLSTM", [3, 4], {"bidirectional": True}],
    "lstm, bits": ["QuantLSTM", [3, 4], {"weight_bit_width_impl_type": "parameter"}],
    "attention": ["QuantMultiheadAttention", [4, 2], {}],
    "attention, packed": [
        "QuantMultiheadAttention",
        [4, 2],
        {"packed_in_proj": True, "batch_first": True},
    ],
    "learned bits": ["QuantLinear", [5, 3], {"weight_bit_width_impl_type": "parameter"}],
    "delayed": ["QuantLinear", [5, 3], {**IN, "input_quant_delay_steps": 2}],
    "learned rounding": [
        "QuantLinear",
        [5, 3],
        {"weight_float_to_int_impl_type": "learned_round"},
    ],
}


def left_open(name, quantizer):
    """Attributes that the quantizer leaves to its user, and the name of an input that fits it."""
    given, fed = {}, "rows"
    if re.match(r"(Fp|MXFloat|Float|ScaledFloat)(OCP|FNUZ)?(Act|Weight)", name):
        given = {"bit_width": 8, "exponent_bit_width": 4, "mantissa_bit_width": 3}
    if role_of(quantizer) != "activation":
        return given, fed
    if starts_at_bounds(quantizer):
        low = {} if name.startswith("Uint8") else {"min_val": -1.5}
        given.update(low, max_val=1.0)
    if name.startswith("MX"):
        given["group_dim"] = -1
    if "PerChannel" in name:
        given["per_channel_broadcastable_shape"] = [1, 3, 1, 1]
    return given, {"1d": "signals", "2d": "images"}.get(name.removesuffix("MSE")[-2:], fed)


def declared():
    """Every quantizer that can be put on a layer, by name."""
    for name, item in sorted(vars(quantizers).items()):
        if isinstance(item, type) and issubclass(item, ExtendedInjector) and role_of(item):
            yield name, item


def cases():
    """The cases of ``layers.json``."""
    found = {}
    for name, quantizer in declared():
        given, fed = left_open(name, quantizer)
        role = role_of(quantizer)
        if role == "activation":
            keywords = {"act_quant": name, "return_quant_tensor": True, **given}
            layers, looked_at = [["QuantIdentity", [], keywords]], "forward"
        elif role in ("weight", "bias"):
            own = {f"{role}_{key}": value for key, value in given.items()}
            keywords = {f"{role}_quant": name, **own, "bias": role == "bias"}
            if role == "bias" or "AccumulatorAware" in name:
                keywords.update(IN)
            layers, looked_at = [["QuantLinear", [COLUMNS, ROWS], keywords]], f"quant_{role}"
        else:
            kind = "Trunc" if role.startswith("trunc") else "Clamp"
            last = [f"{kind}QuantAccumulator", [], {f"{kind.lower()}_quant": name}]
            layers, looked_at = [ACCUMULATOR, last], "forward"
        found[name] = {"layers": layers, "input": fed, "looked_at": looked_at}
        if role == "activation" and word(quantizer, "scaling_impl_type") == "parameter_from_stats":
            after = [["QuantIdentity", [], {**layers[0][2], "collect_stats_steps": 1}]]
            found[f"{name}, learning"] = {**found[name], "layers": after}
    for name, layer in LAYERS.items():
        found[name] = {"layers": [layer], "input": None, "looked_at": None}
    return found


def make_layers():
    """``layers.json`` and ``layers.safetensors``."""
    from test_layers import build, look_at, train

    config.JIT_ENABLED = config.NATIVE_STE_BACKEND_ENABLED = False
    found = {f"inputs/{name}": x for name, x in INPUTS.items()}
    made = cases()
    for name, case in made.items():
        layer, x = build(case["layers"]), INPUTS.get(case["input"])
        if x is not None:
            train(layer, x, {k: PARAMETERS[k] for k in PARAMETERS if k in layer.state_dict()})
        found.update((f"{name}/state/{key}", item) for key, item in layer.state_dict().items())
        if case["looked_at"]:
            out, gradients = look_at(layer, case["looked_at"], x)
            found.update((f"{name}/out/{key}", item) for key, item in out.items())
            found.update((f"{name}/gradient/{key}", item) for key, item in gradients.items())
    write_lines("layers.json", made)
    found = {key: x.detach().clone().contiguous() for key, x in found.items()}
    save_file(found, HERE / "layers.safetensors")


PACKAGES = ("qat", *("qat." + part for part in "components enums formats graph inject nn".split()))
PACKAGES += ("qat.ops", "qat.proxy", "qat.ptq", "qat.quantizers")
#: Modules of which the pages say that the presets are in them.
PRESETS = ("qat.quantizers.presets", "qat.quantizers.float_presets")
PAGES = ("README.md", "docs/porting.md", "docs/extending.md", "docs/training.md")
#: Attributes that follow from others or from the layer, and that nobody declares.
INNER = "bipolar_search group_quant hqo_init_op_scale is_shifted kept_dim learned_round_init "
INNER += "mse_init_op output_channel_dim permute_dims rescaled_scaling_impl saturating "
INNER += "scaling_per_output scaling_shape_per_channel scaling_stats_permute_dims search_grid_impl "
INNER += "special_values tracked_parameter_list wider_class module "
INNER += "injector_is_extended injector_is_unchanged"


def own_names(module):
    """Names of a module's own: no modules, nothing of Python or torch, nothing private."""
    home, other = (module, "a constant") if module in PRESETS else ("qat", "qat")
    for name, item in vars(importlib.import_module(module)).items():
        is_ours = str(getattr(item, "__module__", other)).startswith(home)
        if is_ours and not name.startswith("_") and not isinstance(item, (ModuleType, TypeVar)):
            yield f"{module}.{name}"


def documented_names():
    """What the pages import, what they write in full, and what the porting table says is there."""
    for page in PAGES:
        text = (HERE.parents[1] / page).read_text()
        for module, names in re.findall(r"from (qat(?:\.\w+)*) import ([\w, ]+)", text):
            yield from (f"{module}.{name}" for name in re.split(r",\s*", names.strip(", ")))
        yield from re.findall(r"`(qat\.[\w.]*\w)`", text)
    yield from (port.ours for port in ports() if port.ours)
    yield from (f"qat.quantizers.roles.{role}Resolver" for role in ("Weight", "Act", "Bias"))
    yield from (f"qat.config.{flag}" for flag in config.flag_sources())


def attributes(quantizer, given):
    """What each attribute is for a linear layer; those that cannot be built are left out."""
    from test_names import shown

    bound = quantizer.let(module=torch.nn.Linear(COLUMNS, ROWS), **given)
    for name in sorted(bound.__dependencies__.specs):
        if not name.endswith("_shape") and name not in INNER.split():
            with contextlib.suppress(Exception):
                yield name, shown(getattr(bound, name))


def make_names():
    """``public_names.json`` and ``quantizers.json``, in which each role has its usual words."""
    documented = {*documented_names(), *(f"qat.quantizers.{name}" for name in ready_made_names())}
    exported = {name for package in (*PACKAGES, *PRESETS) for name in own_names(package)}
    names = {"documented": sorted(documented), "exported": sorted(exported - documented)}
    (HERE / "public_names.json").write_text(json.dumps(names, indent=0) + "\n")
    given, declares, roles = {}, {}, defaultdict(list)
    for name, quantizer in declared():
        given[name], _ = left_open(name, quantizer)
        declares[name] = dict(attributes(quantizer, given[name]))
        roles[role_of(quantizer)].append(name)
    document = {}
    for role, names in roles.items():
        usual = usual_of([declares[name] for name in names])
        # not the parts, which follow from the words where they are the usual ones
        words = {key: item for key, item in usual.items() if not key.endswith("_impl")}
        document[role] = {"usual": words}
        for name in names:
            own = declares[name].items()
            document[name] = {
                "given": given[name],
                "usual": role,
                "differs": {key: item for key, item in own if usual.get(key, ...) != item},
                "lacks": [key for key in words if key not in declares[name]],
            }
    write_lines("quantizers.json", document)


def usual_of(documents):
    """Of each key its value in most documents, where most have it."""
    values = defaultdict(Counter)
    for document in documents:
        for key, item in document.items():
            values[key][json.dumps(item)] += 1
    often = {key: counts for key, counts in values.items() if 2 * counts.total() > len(documents)}
    return {key: json.loads(counts.most_common(1)[0][0]) for key, counts in often.items()}


def write_lines(name, document):
    """JSON with one line for each entry, so that a difference is seen."""
    lines = (f"{json.dumps(key)}: {json.dumps(item)}" for key, item in document.items())
    (HERE / name).write_text("{\n" + ",\n".join(lines) + "\n}\n")


SMALL = ["model.kwargs={width: 4, blocks: [1]}", "data.image_size=8"]
LONGER = [*SMALL, "train.batch_size=32", "train.epochs=6"]
FEW = ["quant.input.collect_stats_steps=4", "quant.activation.collect_stats_steps=4"]
MINIFLOATS = "quant={weight: {quantizer: Fp6e3m2WeightPerChannelFloat}, activation: {quantizer: "
MINIFLOATS += (
    "Fp8e4m3ActPerTensorFloat, collect_stats_steps: 4}, input: {quantizer: MXFloat8e4m3Act}}"
)
BINARY = [f"quant.rules.{rule}.input.collect_stats_steps=4" for rule in (2, 3)]
CALIBRATE = ["--weights", "float/checkpoints/best.pt", "calibrate.images=128"]
#: All that a checkpoint may have to keep, so that a run can go on from it.
KEPT = ["train.batch_size=16", "train.accumulate=2", "train.ema_decay=0.9", "optimizer.name=adamw"]
KEPT += ["optimizer.scale_lr=0.01", "checkpoint.top_k=1", "train.epochs=2"]
KEPT += ["quant.weight.bit_width_impl_type=parameter"]
#: The name of the run's folder, and the command line.
RUNS = {
    "float": ["train", "--recipe", "float_resnet", *LONGER, "--lr", "0.1"],
    "w4a4": ["train", "--recipe", "resnet_w4a4", *LONGER, "--lr", "0.1", *FEW],
    "binary": ["train", "--recipe", "binary_resnet", *LONGER, *BINARY],
    "minifloat": ["train", "--recipe", "resnet_w4a4", *LONGER, "--lr", "0.1", MINIFLOATS],
    "calibrated": ["calibrate", "--recipe", "resnet_w8a8_ptq", *SMALL, *CALIBRATE],
    "whole": ["train", "--recipe", "resnet_w2a2", *SMALL, *FEW, *KEPT],
}


def start_qat(*line, **options):
    command = [sys.executable, "-c", "from qat_cli.main import run; run()", *line]
    return subprocess.Popen(command, text=True, **options)


def make_runs():
    """Run folders in ``trained/``, without pictures; the last is stopped in its second epoch.

    Beside them is what ``inspect`` says of their checkpoints.
    """
    shutil.rmtree(HERE / "trained", ignore_errors=True)
    folder = Path(tempfile.gettempdir(), "runs")
    folder.mkdir()
    for name, line in {**RUNS, "stopped": RUNS["whole"]}.items():
        where = ["--out", name, "--backend", "python", "--device", "cpu"]
        started = start_qat(*line, *where, cwd=folder, stderr=subprocess.PIPE)
        for said in started.stderr:
            if name == "stopped" and said.startswith("epoch 1/2"):
                started.send_signal(signal.SIGINT)
        started.wait()
        best = ["--checkpoint", f"{name}/checkpoints/best.pt", "--json"]
        inspected = start_qat("inspect", *best, cwd=folder, stdout=subprocess.PIPE)
        document = json.loads(inspected.communicate()[0])
        (folder / name / "inspect.json").write_text(json.dumps(document) + "\n")
    shutil.copy(folder / "whole" / "summary.json", folder / "stopped" / "whole.json")
    shutil.rmtree(folder / "whole")
    shutil.copytree(folder, HERE / "trained", ignore=shutil.ignore_patterns("*.png"))
    shutil.rmtree(folder)


def make_recipes():
    """``recipes.json``: the shipped recipes with every key written out."""
    write_lines(
        "recipes.json",
        {name: load_recipe(name).model_dump(mode="json") for name in list_recipes()},
    )


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["layers", "names", "runs", "recipes"]
    for kind in wanted:
        globals()[f"make_{kind}"]()
