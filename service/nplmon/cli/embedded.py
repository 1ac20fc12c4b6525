"""The embedded store, for a command that needs it whether or not `nplmon up` runs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def embedded_store(directory: Path) -> Iterator[str]:
    """Give its address; one that does not run is started for as long as it is needed."""
    from nplmon.broker.embedded import EmbeddedStore

    store = EmbeddedStore(directory)
    lives = store.pid is not None
    store.start()
    try:
        yield store.url
    finally:
        if not lives:
            store.stop()
