"""Minifloat quantizers: FP8, FP6 and FP4.

Where a name says nothing else, every code of the format is a number. Those with ``OCP`` have NaN
and, for E5M2, infinity; those with ``FNUZ`` are finite, with NaN at unsigned zero. ``MXFloat`` has
the elements of the OCP and one power of two as the scale of 32 of them.
"""

from qat.quantizers.ready import minifloat_table

# Each class under its name; minifloat.pyi lists them for editors and type checkers.
_CLASSES = minifloat_table.classes(__name__)
__all__ = list(_CLASSES)
globals().update(_CLASSES)
