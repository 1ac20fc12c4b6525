"""What the tests of the page need: node for the scripts alone, a browser for the views; skipped without, not in CI."""

from __future__ import annotations

import pytest
from tests.chromium import axe, chromium, program

__all__ = ["axe", "chromium", "node"]


@pytest.fixture(scope="session")
def node() -> str:
    return program("node")
