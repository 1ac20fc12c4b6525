"""Starting `nplmon up` in a directory of its own, and leaving nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.up.running import FAKE, Up

from nplmon.broker.embedded import EmbeddedStore


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def start(data_dir: Path) -> Iterator[Callable[..., Up]]:
    """Give a function that starts one more `nplmon up` on the data directory; all are ended afterwards."""
    started: list[Up] = []

    def begin(*options: str, command: list[str] = FAKE, **environment: str) -> Up:
        started.append(Up(command, data_dir, *options, **environment))
        return started[-1]

    yield begin
    for stubborn in data_dir.parent.glob("*-stubborn"):
        stubborn.unlink()
    for up in started:
        up.clean_up()
    EmbeddedStore(data_dir).stop()
