"""What the rooms' tests share: asyncio, and one real embedded store, emptied by each room before a test."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from nplmon.broker.embedded import EmbeddedStore

# The same examples each time, and none fails because the machine is busy.
settings.register_profile("nplmon", deadline=None, derandomize=True)
settings.load_profile("nplmon")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path_factory.mktemp("store"))
    store.start()
    yield store
    store.stop()
