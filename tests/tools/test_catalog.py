"""The catalogue's words against declarations."""

import pytest
from torch import nn

from qat.inject import ExtendedInjector
from qat.quantizers import Int8ActPerTensorFloat, Int8WeightPerTensorFloat, ready_made_names
from qat.quantizers.resolve.roles import role_of
from tools.docs.catalog import ARITHMETIC, arithmetic_of, catalog, entry

ENTRIES = {each.name: each for each in catalog()}
#: Name -> role, arithmetic, format, granularity, scale, zero point.
WORDS = {
    "Int8WeightPerTensorFloat": (
        "weight",
        "integer",
        "8 bit signed narrow",
        "tensor",
        "max |w|, recomputed",
        "0",
    ),
    "Int8ActPerTensorFixedPoint": (
        "activation",
        "integer",
        "8 bit signed",
        "tensor",
        "power of two; learned from the 99.999th percentile of |x| of the first 300 batches on",
        "0",
    ),
    "Uint8ActPerTensorFloatMaxInit": (
        "activation",
        "integer",
        "8 bit unsigned",
        "tensor",
        "learned from max(|min_val|, |max_val|) on",
        "0",
    ),
    "ShiftedUint8WeightPerChannelFloat": (
        "weight",
        "integer",
        "8 bit unsigned",
        "channel",
        "max w - min w, recomputed",
        "from min w, recomputed",
    ),
    "SignedBinaryWeightPerTensorConst": (
        "weight",
        "clamped binary",
        "binary",
        "tensor",
        "constant 0.1",
        "0",
    ),
    "Fp8e4m3OCPWeightPerChannelFloat": (
        "weight",
        "minifloat",
        "E4M3 OCP, up to 448",
        "channel",
        "max |w|, recomputed",
        "0",
    ),
    "MXInt8Act": (
        "activation",
        "integer",
        "8 bit signed",
        "group of 32",
        "power of two; max |x| of the tensor at hand",
        "0",
    ),
    "Int32Bias": (
        "bias",
        "integer, scale given",
        "32 bit signed",
        "tensor",
        "that of the accumulator: input scale times weight scale",
        "0",
    ),
    "NoneActQuant": ("activation", "none", "as it is", "-", "-", "0"),
}


@pytest.mark.parametrize("name", WORDS)
def test_entry_says_in_words_what_the_quantizer_does(name):
    found = ENTRIES[name]
    title = arithmetic_of(found.arithmetic).title
    words = found.role, title, found.format, found.granularity, found.scale, found.zero_point
    assert words == WORDS[name]


def test_every_quantizer_has_an_entry_with_all_words():
    assert sorted(ENTRIES) == ready_made_names()
    for each in ENTRIES.values():
        assert all((each.family, each.role, each.format, each.scale, each.summary)), each
        assert "\n" not in each.scale + each.summary + each.source


def test_source_is_that_of_the_docstring_or_its_bases():
    assert ENTRIES["XNORWeight"].source.startswith("XNOR-Net, arXiv:1603.05279")
    assert ENTRIES["Fp8e4m3OCPAct"].source.startswith("OCP 8-bit Floating Point Specification")
    assert ENTRIES["Int8WeightPerTensorFloat"].source == ""


def test_a_quantizer_of_the_readers_own_is_described_too():
    class Average(nn.Module):
        """The mean of ``|x|``, twice. Nobody needs it."""

        def forward(self, x):
            return 2 * x.abs().mean()

    own = Int8WeightPerTensorFloat.let(
        bit_width=4, scaling_stats_impl=Average, scaling_stats_op="my_own"
    )
    found = entry(own)
    assert found.format == "4 bit signed narrow"
    assert found.scale == "the mean of ``|x|``, twice, recomputed"


def test_entries_of_scripted_quantizers_are_the_same(monkeypatch):
    from qat import config, jit

    if not jit.is_available():
        pytest.skip("this torch has no TorchScript, or PYTORCH_JIT=0 turns it off")
    monkeypatch.setattr(config, "JIT_ENABLED", True)
    names = ("Int8WeightPerTensorFloat", "SignedBinaryActPerTensorConst", "MXInt8Act")
    from qat.quantizers import ready_made

    assert [entry(ready_made(name)) for name in names] == [ENTRIES[name] for name in names]


def test_every_formula_of_the_table_is_one_that_is_used():
    used = {each.arithmetic for each in ENTRIES.values()}
    # chosen by quant_type, which no ready-made quantizer does
    assert set(ARITHMETIC) - used <= {"TernaryQuant"}


def test_role_is_that_of_the_resolver_and_none_without_one():
    assert role_of(Int8ActPerTensorFloat.let(bit_width=4)) == "activation"
    assert role_of(ExtendedInjector) is None
