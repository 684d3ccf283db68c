"""The examples in the documentation of ``qat.ops`` are true."""

import doctest

import pytest

from qat.ops import safe_scale as bounds
from qat.ops import ste, values


@pytest.mark.parametrize("module", [ste, values, bounds], ids=lambda m: m.__name__)
def test_examples_give_what_they_show(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
