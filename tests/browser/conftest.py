"""Services for a browser, and visitors who look at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser
from tests.browser.seeds import seed
from tests.browser.service import Service
from tests.browser.visitor import Visitor
from tests.chromium import axe, chromium, program

__all__ = ["axe", "chromium"]
Visit = Callable[..., Visitor]


@contextmanager
def started(directory: Any) -> Iterator[Service]:
    """Run a service; not where there is no browser to look at it."""
    program("chromium", "chromium-browser")
    service = Service(directory)
    try:
        service.open()
        yield service
    finally:
        service.clean_up()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give a started service without monitors."""
    with started(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give one in the middle of a shift, for all tests that only look."""
    with started(tmp_path_factory.mktemp("shift")) as service:
        seed(service)
        yield service


def visits(chromium: Browser, service: Service) -> Iterator[Visit]:
    """Give what lets a person in; all leave at the end, and nothing they complained about passes."""
    visitors: list[Visitor] = []

    def let_in(**options: Any) -> Visitor:
        visitors.append(Visitor(chromium, service.url, **options))
        return visitors[-1]

    yield let_in
    for visitor in visitors:
        visitor.context.close()
    assert [complaint for visitor in visitors for complaint in visitor.complaints] == []


@pytest.fixture
def visit(chromium: Browser, service: Service) -> Iterator[Visit]:
    """Let people into the service without monitors."""
    yield from visits(chromium, service)


@pytest.fixture
def look(chromium: Browser, seeded: Service) -> Iterator[Visit]:
    """Let people into the one in the middle of a shift."""
    yield from visits(chromium, seeded)
