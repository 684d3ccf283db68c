"""Shared by the tests of the library: state dicts load as they do without any variable set."""

import pytest

from qat import config


@pytest.fixture(autouse=True)
def default_state_dict_flags(monkeypatch):
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", False)
    monkeypatch.setattr(config, "REINIT_ON_STATE_DICT_LOAD", True)
