"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import nplmon.notifier

MODULES = sorted(path.stem for path in Path(nplmon.notifier.__path__[0]).glob("[a-z]*.py"))


@pytest.mark.parametrize("name", ["settings", *(f"notifier.{module}" for module in MODULES)])
def test_the_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"nplmon.{name}")).failed == 0
