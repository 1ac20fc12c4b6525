"""One stage for all schedules of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.chaos.stage import Stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("chaos"))
    try:
        stage.start()
        stage.make_monitor()
        yield stage
    finally:
        stage.clean_up()
