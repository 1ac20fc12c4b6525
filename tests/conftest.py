"""What the rooms' tests share: asyncio, and one real embedded store, emptied by each room before a test."""

import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings
from redis import Redis
from tests.keys import leaks

from nplmon.broker.embedded import EmbeddedStore

# The same examples each time, and none fails because the machine is busy.
settings.register_profile("nplmon", deadline=None, derandomize=True)
settings.load_profile("nplmon")
# The name that the tests give an application that they call without a port.
os.environ.setdefault("NPLMON_ALLOWED_HOSTS", "nplmon")
# Tracebacks as Python writes them: drawn with all local arrays in frames they take seconds, and hold up the event loop.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path_factory.mktemp("store"))
    store.start()
    yield store
    store.stop()


@pytest.fixture
def no_key_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test on the common store: each key is documented, and has an owner or an end.

    Rooms whose tests write to the store ask for it in each test.
    """
    used = request.getfixturevalue("store") if "store" in request.fixturenames else None
    yield
    if used is not None:
        with Redis.from_url(used.url) as redis:
            assert list(leaks(redis)) == []
