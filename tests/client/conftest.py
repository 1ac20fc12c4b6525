"""One served interface for all tests of the client, and a client for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.client.serving import Service, served

from nplmon.client import Client


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with served(tmp_path_factory.mktemp("store")) as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.url, deadline=10.0) as client:
        yield client


@pytest.fixture
def monitor(service: Service, client: Client) -> str:
    return service.monitor(client)
