"""The ready-made quantizers in words, each computed from its declaration.

``docs/quantizers.md`` is made from it, and whoever adds a quantizer finds it here without a word
more: attributes are read from the injector, parts that are no choice by name describe themselves by
the first line of their docstring.
"""

from .arithmetic import ARITHMETIC as ARITHMETIC
from .arithmetic import Arithmetic as Arithmetic
from .arithmetic import arithmetic_of as arithmetic_of
from .entries import Entry as Entry
from .entries import catalog as catalog
from .entries import entry as entry
from .sample import for_sample as for_sample
