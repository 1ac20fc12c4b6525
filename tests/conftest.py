"""What the rooms' tests share: asyncio, and one real embedded store, emptied by each room before a test."""

from collections.abc import Iterator

import pytest

from nplmon.broker.embedded import EmbeddedStore


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path_factory.mktemp("store"))
    store.start()
    yield store
    store.stop()
