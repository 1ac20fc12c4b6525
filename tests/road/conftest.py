"""One service for all roads: it is killed and started again on the way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.road.travel import Road


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    road = Road(tmp_path_factory.mktemp("road"))
    try:
        road.start()
        road.make_monitor()
        yield road
    finally:
        road.clean_up()
