"""One service for all tests of a module, and visitors who look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser
from tests.browser.service import Service
from tests.browser.visitor import Visitor
from tests.chromium import axe, chromium

__all__ = ["axe", "chromium"]
Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def service(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give a started service; not started where there is no browser."""
    service = Service(tmp_path_factory.mktemp("service"))
    try:
        service.open()
        yield service
    finally:
        service.clean_up()


@pytest.fixture
def visit(chromium: Browser, service: Service) -> Iterator[Visit]:
    """Give what lets a person in; all leave at the end, and nothing they complained about passes."""
    visitors: list[Visitor] = []

    def let_in(**options: Any) -> Visitor:
        visitors.append(Visitor(chromium, service.url, **options))
        return visitors[-1]

    yield let_in
    for visitor in visitors:
        visitor.context.close()
    assert [complaint for visitor in visitors for complaint in visitor.complaints] == []
