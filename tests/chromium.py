"""The system's browser for tests, with flags under which it asks nothing of anybody; skipped without, not in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.resources import files

import pytest
from playwright.sync_api import Browser, sync_playwright

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Without them chromium asks for things of its own elsewhere."""


def program(*names: str) -> str:
    """Find one of these programs, or skip the test."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{names[0]} is not installed; CI must have it")
        pytest.skip(f"{names[0]} is not installed")
    return found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Give the system's browser."""
    path = program("chromium", "chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """Give the script of axe-core, which looks for what keeps people out."""
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
