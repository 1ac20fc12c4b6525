"""`nplmon token` and NPLMON_TOKEN: the first token at the store, the others over HTTP; none is ever shown twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cli.conftest import Ended
from tests.client.serving import Service, served

from nplmon.broker.embedded import EmbeddedStore
from nplmon.cli import main
from nplmon.client import Client, ClientError, Forbidden, Unauthorized

Nplmon = Callable[..., Ended]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def service(place: Path) -> Iterator[Service]:
    with served(place, access="tokens") as service:  # type: ignore[arg-type]  # a setting
        yield service


@pytest.fixture
def nplmon(service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nplmon:
    monkeypatch.setenv("NPLMON_URL", service.url)

    def run(*arguments: object, token: str | None = None) -> Ended:
        if token is None:
            monkeypatch.delenv("NPLMON_TOKEN", raising=False)
        else:
            monkeypatch.setenv("NPLMON_TOKEN", token)
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return run


def test_the_first_is_made_at_the_store_and_makes_others_over_http(nplmon: Nplmon, place: Path) -> None:
    first = nplmon("token", "create", "ada", "--scope", "admin", "--data-dir", place)
    assert first.code == 0, first.err
    root = first.out.strip()
    assert root not in first.err
    assert first.err.count("\n") == 1

    refused = nplmon("monitor", "list")
    assert refused.code == 2
    assert "nplmon token create" in refused.err
    assert nplmon("monitor", "list", token=root).code == 0

    second = nplmon("token", "create", "daq", "--scope", "push", "--expires", 90, "--json", token=root)
    made = json.loads(second.out)
    assert made["name"] == "daq"
    assert nplmon("monitor", "list", token=made["token"]).code == 2

    for listed in (
        nplmon("token", "list", "--json", token=root),
        nplmon("token", "list", "--json", "--data-dir", place),
    ):
        tokens: list[dict[str, Any]] = json.loads(listed.out)
        assert [(t["name"], t["scopes"], t["created_by"]) for t in tokens] == [
            ("ada", ["admin"], ""),
            ("daq", ["push"], "ada"),
        ]
        assert root not in listed.out
    assert "daq" in nplmon("token", "list", token=root).out

    assert nplmon("token", "revoke", made["id"], token=root).code == 0
    assert nplmon("token", "revoke", made["id"], token=root).code == 2
    again = nplmon("token", "revoke", made["id"], "--data-dir", place)
    assert again.code == 2
    assert "no token" in again.err
    assert nplmon("token", "revoke", tokens[0]["id"], "--data-dir", place).code == 0


def test_a_store_that_does_not_run_is_started_for_it_and_stopped(
    nplmon: Nplmon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nplmon("token", "create", "ada", "--scope", "admin", "--data-dir", tmp_path).code == 0
    store = EmbeddedStore(tmp_path)
    assert store.pid is None
    assert "ada" in nplmon("token", "list", "--data-dir", tmp_path).out
    assert store.pid is None
    # A store in the environment, and no token: then the store is meant.
    store.start()
    monkeypatch.setenv("NPLMON_REDIS_URL", store.url)
    assert "ada" in nplmon("token", "list").out
    store.stop()


@pytest.mark.parametrize(
    "arguments", [("x", "--scope", "root"), ("a b", "--scope", "read"), ("x",), ("x", "--scope", "")]
)
def test_a_wrong_wish_at_the_store_makes_none(
    nplmon: Nplmon, place: Path, arguments: tuple[str, ...]
) -> None:
    ended = nplmon("token", "create", *arguments, "--data-dir", place)
    assert ended.code == 2
    assert "nplmon_" not in ended.out + ended.err
    monitor = nplmon("token", "create", "x", "--scope", "push", "--monitor", "gone", "--data-dir", place)
    assert monitor.code == 2
    assert "no monitor 'gone'" in monitor.err


def test_settings_that_do_not_go_together_are_told_without_the_secrets(
    nplmon: Nplmon, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "nplmon_0123456789abcdef_" + 43 * "s"
    monkeypatch.setenv("NPLMON_OIDC_ISSUER", "https://id.example")
    ended = nplmon("monitor", "list", token=secret)
    assert ended.code == 2
    assert ended.err == (
        "nplmon: NPLMON_OIDC_ISSUER needs NPLMON_OIDC_AUDIENCE: tokens for others would be good here\n"
    )
    monkeypatch.setenv("NPLMON_OIDC_AUDIENCE", "nplmon")
    monkeypatch.setenv("NPLMON_OIDC_SCOPES", "shifters=root")
    ended = nplmon("monitor", "list", token=secret)
    assert "not of the form GROUP=SCOPE,SCOPE" in ended.err
    assert secret not in ended.err


def test_the_audit_is_shown_to_an_admin(nplmon: Nplmon, service: Service, place: Path) -> None:
    root = nplmon("token", "create", "ada", "--scope", "admin", "--data-dir", place).out.strip()
    with Client(service.url, token=root) as client:
        name = service.monitor(client)
        client.delete_monitor(name)
    table = nplmon("audit", "--limit", 3, token=root)
    assert table.code == 0, table.err
    assert f"DELETE /v1/monitors/{{monitor}}  /v1/monitors/{name}" in table.out
    entries = json.loads(nplmon("audit", "--json", token=root).out)
    assert [entry["who"] for entry in entries[:2]] == ["ada", "ada"]
    assert any(entry["token"] == "store" for entry in entries)
    last = json.loads(nplmon("audit", "--json", "--before", entries[0]["id"], token=root).out)
    assert last[0] == entries[1]
    reader = nplmon("token", "create", "bob", "--scope", "read", token=root).out.strip()
    assert nplmon("audit", token=reader).code == 2


def test_the_python_client_sends_its_token(
    nplmon: Nplmon, service: Service, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = nplmon("token", "create", "ada", "--scope", "admin", "--data-dir", place).out.strip()
    with Client(service.url) as client, pytest.raises(Unauthorized, match="nplmon token create"):
        client.monitors()
    with Client(service.url, token=root) as client:
        name = service.monitor(client)
        new = client.create_token("daq", ["push"], monitor=name)
        assert new.token not in repr(new)
    monkeypatch.setenv("NPLMON_TOKEN", new.token)
    with Client(service.url) as client:
        assert client.push(name, "r", [[1.0, 2.0]]).events == 1
        with pytest.raises(Forbidden, match="scope read"):
            client.monitors()


@pytest.mark.parametrize("url", ["http://monitor.example", "http://10.0.0.7:8471", "http://api:8471"])
def test_a_token_does_not_go_in_clear_to_another_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "nplmon_0123456789abcdef_" + 43 * "x"
    with pytest.raises(ClientError, match="unencrypted") as refused:
        Client(url, token=token)
    assert token not in str(refused.value)
    Client(url).close()
    Client(url.replace("http:", "https:"), token=token).close()
    Client(url, token=token, plain_http=True).close()
    monkeypatch.setenv("NPLMON_PLAIN_HTTP", "1")
    Client(url, token=token).close()


def test_a_token_that_was_copied_badly_is_not_sent() -> None:
    with pytest.raises(ClientError, match="copy it again"):
        Client("http://127.0.0.1:1", token="nplmon_\nx")


def test_a_token_is_not_taken_to_where_an_answer_points() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(307, headers={"Location": "http://evil.example/v1/monitors"})

    with (
        Client("http://127.0.0.1:1", token="nplmon_x", transport=httpx.MockTransport(answer)) as client,
        pytest.raises(ClientError),
    ):
        client.monitors()
    assert [request.url.host for request in seen] == ["127.0.0.1"]
