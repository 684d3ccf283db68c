"""Pictures as they are."""

import pytest


@pytest.fixture(autouse=True)
def drawn(pictures):
    """In every test here."""
