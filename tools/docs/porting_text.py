"""Written parts of ``porting.md``."""

INTRODUCTION = """\
# Coming from Brevitas

<!-- Made by `make docs` from tools/docs/porting_names.py and porting_text.py; do not edit. -->

Class names, attributes and numbers are those of Brevitas wherever the meaning is the same, so that
most code needs other imports and nothing else. This page lists the public names of Brevitas
{version}, package by package, and at the end what behaves otherwise. Names of a kind that nobody
imports (typing aids, mixins, solvers) are listed too: whoever has used one finds what to do.

    from brevitas.nn import QuantConv2d               ->  from qat.nn import QuantConv2d
    from brevitas.quant import Int32Bias              ->  from qat.quantizers import Int32Bias
    from brevitas.core.scaling import ConstScaling    ->  from qat.components import ConstScaling
    from brevitas.inject import ExtendedInjector      ->  from qat.inject import ExtendedInjector
    from brevitas.inject.enum import ScalingImplType  ->  from qat.enums import ScalingImplType
    from brevitas.quant_tensor import IntQuantTensor  ->  from qat import QuantTensor
    from brevitas.function.ops_ste import round_ste   ->  from qat.ops import round_ste
    import brevitas.config as config                  ->  from qat import config

"""

OTHERS = """\
## The other packages

Their names are not compared one by one.

- `brevitas.jit` is `qat.jit`.
- `brevitas.ops`, `brevitas.library` and `brevitas.csrc` are `qat.ops`.
- `brevitas.graph`, `brevitas.fx`: `qat.graph.quantize_model` converts a model by rules and
  `qat.ptq` calibrates it; single passes over a graph are private.
- `brevitas.export`, `brevitas.onnx`: not part of the library yet.
- `brevitas.loss`: not there. To learn bit widths at a cost, add `proxy.bit_width()` times the
  number of elements to your loss.
- `brevitas.optim`: not there. Optimizers for rounding and rotation of trained language models.
- `brevitas.utils`, `brevitas.common`, `brevitas.compiler`, `brevitas.backport`: private aids.
"""

DIFFERENCES = """\
## What behaves otherwise

### Environment

- `QAT_JIT`, `QAT_IGNORE_MISSING_KEYS`, `QAT_VERBOSE`, `QAT_NATIVE_STE_BACKEND` and
  `QAT_REINIT_ON_STATE_DICT_LOAD` are read; where one is unset, `BREVITAS_JIT` and so on is. A value
  that is not a boolean is an error at import that names variable and value.
- The flags of `qat.config` are bools and can be set at run time: `config.JIT_ENABLED = True` holds
  for the quantizers built afterwards.
- Without a C++ compiler there is one warning, whatever `VERBOSE` says, and the Python ops are used.

### Quantizers and layers

- Attributes, keywords with a prefix on layers (`weight_bit_width=4`) and `.let(...)` are as they
  were. Every `*_type` and `*_op` takes the enum or its name in any case.
- A quantizer names no proxy class: a proxy serves a role (weight, bias, activation, accumulator),
  whatever the format. One that names a `proxy_class` of its own gets it.
- An attribute that is missing is a `DependencyError` that names the injector and the chain of
  attributes that led there, also behind a `@value` and a default argument.
- Contradictory options are refused when the layer is built; the text says where, what the value is
  and what to do.
- After `copy.deepcopy(layer)` the injector of the copy reads the weights of the copy. Layers can be
  pickled.
- `.half()` and `.bfloat16()` take the scales with them. Under `torch.autocast` the state of the
  quantizers stays in float32, and so does their arithmetic: a half type is quantized by the scale
  as it is, and the result rounded once.
- A model that saw no data reads the state dict it wrote.
- Learned scales and bit widths keep their identity when a quantizer is built anew, so an optimizer
  made before a state dict was loaded goes on working.
- `QuantCat` and layers that tie their input and output quantizers run.
- A transposed convolution counts the terms of its accumulator by its input channels.
- `BatchNorm2dToQuantScaleBias` reports no converted keys as missing.

### Quantized tensors

- One class, `qat.QuantTensor`, for integers, floats, groups and none of them.
- Where a quantizer does not say `signed`, its `QuantTensor` has `signed` None and is not valid;
  Brevitas raises. A constant binary tensor is valid.
- Negation with a zero point, or of the lowest value, is right. Slices keep their grid.
- What a function does to the grid decides what comes back: a `QuantTensor` where it stays on it, a
  plain tensor elsewhere.

### State dicts

- Weights, biases and their quantizers have the keys of Brevitas:
  `weight_quant.tensor_quant.scaling_impl.value`.
- An activation quantizer sits one module less deep: `act_quant.tensor_quant.scaling_impl.value` for
  `act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.value`.
- A scale learned from statistics keeps them (`buffer`, `counter`), so that a run that is resumed
  within its statistics phase goes on where it stopped. A state dict of Brevitas lacks them. This
  loads one, and takes its scales as learned:

```python
import torch

RENAMED = {"fused_activation_quant_proxy.": "", "runtime_stats.running_stats": "buffer"}


def load_from_brevitas(model: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
    for theirs, ours in RENAMED.items():
        state = {key.replace(theirs, ours): tensor for key, tensor in state.items()}
    for key, tensor in model.state_dict().items():
        if key.endswith("_impl.counter"):
            state.setdefault(key, torch.full_like(tensor, 2**31))  # the statistics phase is over
        if key.endswith("_impl.buffer") and key.replace("buffer", "value") in state:
            state.setdefault(key, tensor)
    model.load_state_dict(state)
```

### Numbers

Value, scale, zero point, bit width, gradients and state of every quantizer that both have are
compared with Brevitas by `tests/oracle` (`make oracle`, then `pytest -m slow tests/oracle`). They
agree, except:

"""
