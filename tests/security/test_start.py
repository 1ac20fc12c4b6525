"""What others can reach does not start without tokens, unless somebody says that it should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.security.running import Api, command
from tests.up.conftest import data_dir, start  # noqa: F401  # fixtures
from tests.up.running import Up

from nplmon.broker.embedded import EmbeddedStore
from nplmon.demo.service import RunningService

Start = Callable[..., Up]
EVERYWHERE = "0.0.0.0"  # noqa: S104  # what it is about


def test_up_for_others_needs_a_token(start: Start, data_dir: Path) -> None:  # noqa: F811
    refused = start("--port", "0", "--host", EVERYWHERE)
    assert refused.process.wait(30) == 2
    said = refused.said.splitlines()[-1]
    assert f"nplmon token create NAME --scope admin --data-dir {data_dir}" in said
    assert EmbeddedStore(data_dir).pid is None

    token = command("token", "create", "ada", "--scope", "admin", "--data-dir", str(data_dir)).stdout.strip()
    up = start("--port", "0", "--host", EVERYWHERE)
    up.wait_ready()
    assert "access   by tokens" in up.said
    assert up.addresses["access"] == "tokens"
    assert token not in up.said
    # What asks for no token stays with us.
    for name, address in up.addresses["metrics"].items():
        assert name == "api" or address.startswith("http://127.0.0.1:")
    (started,) = [pid for role, pid in up.journal("started") if role == "aggregator"]
    assert b"NPLMON_METRICS_HOST=127.0.0.1" in Path(f"/proc/{started}/environ").read_bytes()
    assert token not in (data_dir / "up.json").read_text()


def test_up_for_others_without_tokens_only_if_told(start: Start) -> None:  # noqa: F811
    up = start("--port", "0", "--host", EVERYWHERE, "--insecure")
    up.wait_ready()
    assert "whoever reaches this address can read and change everything" in up.said
    assert up.addresses["access"] == "open"
    assert "access   open to everyone who reaches the API" in up.said


def test_up_on_loopback_asks_nobody(start: Start) -> None:  # noqa: F811
    up = start("--port", "0")
    up.wait_ready()
    assert "whoever reaches" not in up.said
    assert up.addresses["access"] == "open"


def test_a_token_in_the_environment_does_not_reach_the_roles(
    start: Start,  # noqa: F811
    data_dir: Path,  # noqa: F811
) -> None:
    up = start("--port", "0", NPLMON_TOKEN="nplmon_0123456789abcdef_" + 43 * "x")
    up.wait_ready()
    for _, pid in up.journal("started"):
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"NPLMON_REDIS_URL=" in environment
        assert b"NPLMON_TOKEN" not in environment


def test_the_demonstration_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the environment is that of a service for others, as in the images."""
    monkeypatch.setenv("NPLMON_ACCESS", "tokens")
    monkeypatch.setenv("NPLMON_HOST", EVERYWHERE)
    monkeypatch.delenv("NPLMON_REDIS_URL", raising=False)
    with RunningService(tmp_path / "data"):
        addresses = json.loads((tmp_path / "data" / "up.json").read_text())
        assert addresses["access"] == "open"
        assert addresses["api"].startswith("http://127.0.0.1:")


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    store = EmbeddedStore(tmp_path / "store")
    store.start()
    yield store.url
    store.stop()


def test_an_api_for_others_needs_a_token(address: str) -> None:
    refused = command("api", "--host", EVERYWHERE, "--port", "0", "--redis-url", address, check=False)
    assert refused.returncode == 2
    assert "nplmon token create" in refused.stderr

    token = command("token", "create", "ada", "--scope", "read", "--redis-url", address).stdout.strip()
    with Api(address, "--host", EVERYWHERE) as api:
        assert api.get("/v1/monitors").status_code == 401
        assert api.get("/v1/monitors", token).status_code == 200


def test_an_api_whose_store_is_not_there_yet_starts_closed(tmp_path: Path) -> None:
    with Api(f"unix://{tmp_path}/none.sock", "--host", EVERYWHERE) as api:
        assert api.get("/healthz").status_code == 200
        assert api.get("/v1/monitors").status_code == 401
        assert api.get("/v1/monitors", "nplmon_0123456789abcdef_" + 43 * "x").status_code == 503


def test_the_command_itself_can_be_read_by_others_and_has_no_secret() -> None:
    """There is no option for a token, whose value every user of the machine could see in the list of processes."""
    said = subprocess.run(
        [sys.executable, "-c", "import nplmon.cli; nplmon.cli.main()", "status", "--help"],
        env=os.environ | {"COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "--token" not in said
