"""Readers of docstrings: the first sentence, a paragraph behind a word."""

import inspect
import re
from typing import Any


def first_line(documented: Any) -> str:
    """First sentence of a docstring, on one line, without the full stop."""
    return first_sentence((inspect.getdoc(documented) or "").split("\n\n")[0])


def first_sentence(text: str) -> str:
    """``text`` up to its first full stop, on one line, without it."""
    return re.split(r"\.\s+(?=[A-Z`])", " ".join(text.split()))[0].rstrip(".")


def further_paragraphs(documented: Any) -> str:
    """A docstring without its first paragraph and its sources, an empty line between two."""
    paragraphs = (inspect.getdoc(documented) or "").split("\n\n")[1:]
    return "\n\n".join(each for each in paragraphs if not each.startswith("Source"))


def behind(word: str, documented: Any) -> str:
    """What its own docstring says behind ``word:``, to the end of the paragraph; or nothing."""
    text = inspect.cleandoc(vars(documented).get("__doc__") or "")
    found = re.search(rf"(?:^|\s){word}: (.+?)(?:\n\n|\n\w+: |\Z)", text, re.DOTALL)
    return " ".join(found.group(1).split()) if found else ""
