"""Catalogue of the ready-made quantizers, in words.

The words are computed from the declarations.

``docs/quantizers.md`` is made from it, and whoever adds a quantizer finds it here without a word
more: attributes are read from the injector, parts that are no choice by name describe themselves by
the first line of their docstring.
"""

from tools.docs.catalog.arithmetic import ARITHMETIC as ARITHMETIC
from tools.docs.catalog.arithmetic import Arithmetic as Arithmetic
from tools.docs.catalog.arithmetic import arithmetic_of as arithmetic_of
from tools.docs.catalog.entries import Entry as Entry
from tools.docs.catalog.entries import catalog as catalog
from tools.docs.catalog.entries import entry as entry
from tools.docs.catalog.sample import for_sample as for_sample
