"""The table of post-training steps, by the name that recipes call them."""

from __future__ import annotations

from collections.abc import Mapping

from qat.ptq.ranges import measure_ranges
from qat.ptq.step import Step

STEPS: Mapping[str, Step] = {"ranges": measure_ranges}
