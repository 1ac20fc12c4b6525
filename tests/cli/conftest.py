"""The commands in this process, against a served interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from tests.client.serving import Service, served

from nplmon.cli import main
from nplmon.client import Client


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Nplmon = Callable[..., Ended]


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


@pytest.fixture
def nplmon(service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nplmon:
    """Run a command as `nplmon("status", "m")` with the service's address in the environment."""
    monkeypatch.setenv("NPLMON_URL", service.url)

    def run(*arguments: object) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return run
