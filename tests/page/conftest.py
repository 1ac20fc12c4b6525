"""Node runs the scripts' own tests; where it is not installed they are skipped, but not in CI."""

from __future__ import annotations

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("node is not installed; CI must have it")
        pytest.skip("node is not installed")
    return found
