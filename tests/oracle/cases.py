"""Measurements of a quantizer, the same lines with either library.

Nothing here may import qat or Brevitas; both give layers and attributes of the same names.
"""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

#: Batches of an activation that statistics are taken of, and those after.
COLLECTED, LEARNED = 3, 2
Measured = dict[str, Tensor]
#: One library holds an activation quantizer one module deeper.
NESTED = "fused_activation_quant_proxy."


def role_of(name: str) -> str:
    """What the quantizer ``name`` quantizes, by the word in its name."""
    for word, role in (("Weight", "weight"), ("Bias", "bias"), ("Act", "activation")):
        if word in name:
            return role
    return "accumulator"


def measure(name: str, quantizer: Any, layers: Any) -> tuple[dict[str, Measured], dict[str, str]]:
    """All cases of one quantizer: case -> quantity -> tensor, and case -> error.

    Args:
        name: of the quantizer.
        quantizer: its injector, in the library whose ``layers`` are given.
        layers: namespace with ``QuantLinear``, ``QuantConv2d``, ``QuantIdentity``, ....
    """
    found, errors = {}, {}
    for case, work in CASES[role_of(name)](name).items():
        try:
            found[case] = work(name, quantizer, layers)
        except Exception as error:  # any failure is a result: the test says whose it is
            errors[case] = f"{type(error).__name__}: {error}"[:500]
    return found, errors


def left_open(name: str) -> dict[str, Any]:
    """Attributes that the quantizer ``name`` leaves to its user."""
    if name.startswith(("FpOCP", "FpFNUZ")):
        return {"bit_width": 8, "exponent_bit_width": 4, "mantissa_bit_width": 3}
    return {"bit_width": 16} if name == "IntBias" else {}


def known(layers: Any) -> Any:
    """The library's 8 bit quantizer of activations."""
    return inspect.signature(layers.QuantIdentity).parameters["act_quant"].default


def seeded(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers, the same for the same shape and seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def quantities(made: Any, x: Tensor, owner: nn.Module, prefix: str = "") -> Measured:
    """Value, grid and gradients of ``sum(w * value)`` to ``x`` and the owner's parameters."""
    value = made[0]
    weights = torch.linspace(-1.0, 1.0, value.numel()).reshape(value.shape)
    named = [(n, p) for n, p in owner.named_parameters() if p is not x and p.requires_grad]
    gradients = torch.autograd.grad(
        (weights * value).sum(), [x, *(p for _, p in named)], allow_unused=True
    )
    found = {"x": x, "value": value, **grid(made[1:], value), "gradient of x": gradients[0]}
    for (key, _), gradient in zip(named, gradients[1:], strict=True):
        found[f"gradient of {key.replace(NESTED, '')}"] = gradient
    found.update((f"state {key.replace(NESTED, '')}", t) for key, t in owner.state_dict().items())
    return {prefix + key: item.detach().clone() for key, item in found.items() if item is not None}


def grid(metadata: Any, value: Tensor) -> Measured:
    """Scale and zero point in the shape of ``value``, bit width as it is."""
    scale, zero_point, *bits = (torch.as_tensor(item, dtype=value.dtype) for item in metadata)
    found = {"scale": scale.expand_as(value), "zero point": zero_point.expand_as(value)}
    return {**found, "bit width": sum(bits)} if bits else found


def of_quant_tensor(made: Any) -> tuple[Any, ...]:
    """Value, scale, zero point, bit width; exponent and mantissa bits where those are the grid."""
    bits = (
        (made.exponent_bit_width, made.mantissa_bit_width, 1.0)
        if hasattr(made, "mantissa_bit_width")
        else (made.bit_width,)
    )
    return (made.value, made.scale, made.zero_point, *bits)


def quantized_weight(layer: Any, is_aware: bool, columns: int) -> Any:
    """The layer's weight; of one that follows from the input's grid, for a known input."""
    if not is_aware:
        return layer.quant_weight()
    if "quant_input" not in inspect.signature(layer.quant_weight).parameters:
        return layer.quant_weight()  # takes the grid from ``input_quant`` by itself
    x = seeded(2, columns, *[3] * (layer.weight.dim() - 2), seed=7)
    return layer.quant_weight(quant_input=layer.input_quant.eval()(x))


def weight_cases(name: str) -> dict[str, Any]:
    def case(make: Any, weight: Tensor) -> Any:
        def work(_: str, quantizer: Any, layers: Any) -> Measured:
            is_aware = "AccumulatorAware" in name
            given = {"input_quant": known(layers)} if is_aware else {}
            layer = make(layers)(weight_quant=quantizer.let(**left_open(name)), **given)
            with torch.no_grad():
                layer.weight.copy_(weight)
            layer.weight_quant.init_tensor_quant()
            made = of_quant_tensor(quantized_weight(layer, is_aware, weight.shape[1]))
            return quantities(made, layer.weight, layer.weight_quant)

        return work

    def linear(rows: int, columns: int) -> Any:
        return lambda layers: lambda **k: layers.QuantLinear(columns, rows, bias=False, **k)

    def conv(layers: Any) -> Any:
        return lambda **k: layers.QuantConv2d(4, 6, 3, bias=False, **k)

    with_zero_row = seeded(8, 64, seed=3)
    with_zero_row[2] = 0.0
    return {
        "linear": case(linear(8, 64), seeded(8, 64, seed=1)),
        "convolution": case(conv, seeded(6, 4, 3, 3, seed=2)),
        "a channel of zeros": case(linear(8, 64), with_zero_row),
        "one element": case(linear(1, 1), torch.tensor([[0.3]])),
    }


def activation_cases(name: str) -> dict[str, Any]:
    def case(*shape: int) -> Any:
        def work(_: str, quantizer: Any, layers: Any) -> Measured:
            options: dict[str, Any] = {"collect_stats_steps": COLLECTED, **left_open(name)}
            if name.endswith(("MinMaxInit", "MaxInit")):
                options.update(min_val=-1.5, max_val=2.0)
            if "PerChannel" in name:
                options["per_channel_broadcastable_shape"] = (1, shape[1], *[1] * (len(shape) - 2))
                options["scaling_stats_permute_dims"] = (1, 0, *range(2, len(shape)))
            if name.startswith("MX"):
                options["group_dim"] = 1
            layer = layers.QuantIdentity(
                act_quant=quantizer, return_quant_tensor=True, **options
            ).train()
            found: Measured = {}
            for batch in range(COLLECTED + LEARNED):
                x = seeded(*shape, seed=10 + batch).requires_grad_()
                made = of_quant_tensor(layer(x))
                found.update(quantities(made, x, layer, f"batch {batch + 1}: "))
            x = seeded(*shape, seed=99).requires_grad_()
            made = of_quant_tensor(layer.eval()(x))
            found.update(quantities(made, x, layer, "evaluation: "))
            return found

        return work

    if name.endswith(("1d", "2d")):
        return {"images": case(4, 6, 5, 5)} if name.endswith("2d") else {"rows": case(4, 6, 9)}
    return {"rows": case(5, 64), "images": case(4, 6, 5, 5)}


def bias_cases(name: str) -> dict[str, Any]:
    def case(bias: Tensor, scale: Tensor) -> Any:
        def work(_: str, quantizer: Any, layers: Any) -> Measured:
            bias_quant = quantizer.let(**left_open(name))
            layer = layers.QuantLinear(5, len(bias), bias=True, bias_quant=bias_quant)
            with torch.no_grad():
                layer.bias.copy_(bias)
            proxy = layer.bias_quant
            proxy.init_tensor_quant()
            given = (scale,) if proxy.requires_input_scale else ()
            return quantities(proxy.tensor_quant(layer.bias, *given), layer.bias, proxy)

        return work

    bias = seeded(6, seed=4)
    return {
        "one scale": case(bias, torch.tensor(0.01)),
        "a scale per channel": case(bias, torch.rand(6, generator=torch.manual_seed(5)) / 50),
        "zeros": case(torch.zeros(6), torch.tensor(0.01)),
    }


def accumulator_cases(name: str) -> dict[str, Any]:
    def work(_: str, quantizer: Any, layers: Any) -> Measured:
        of_input = {"scaling_impl_type": "const", "min_val": -4.0, "max_val": 4.0, "bit_width": 12}
        first = layers.QuantIdentity(return_quant_tensor=True, **of_input).eval()
        layer = layers.TruncAvgPool2d(2, trunc_quant=quantizer, return_quant_tensor=True)
        x = seeded(3, 2, 8, 8, seed=6).requires_grad_()
        found: Measured = {}
        for mode in ("training", "evaluation"):
            made = layer.train(mode == "training")(first(x))
            found.update(quantities(of_quant_tensor(made), x, layer, f"{mode}: "))
        return found

    return {"sums of four": work}


CASES: dict[str, Any] = {
    "weight": weight_cases,
    "activation": activation_cases,
    "bias": bias_cases,
    "accumulator": accumulator_cases,
}
