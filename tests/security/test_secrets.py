"""No secret in what a running service writes, counts or answers: everything is read, and searched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.api.bodies import NPY, events, npy
from tests.security.running import Api, command

from nplmon.broker.embedded import EmbeddedStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path / "store")
    store.start()
    yield store
    store.stop()


def test_what_was_sent_as_a_secret_is_nowhere(store: EmbeddedStore, tmp_path: Path) -> None:
    """Tokens right, wrong, expired and revoked, sessions, passwords: on roads that work, fail and break.

    The end of a secret is searched for, so that a shortened one is found as well.
    """
    address = store.url

    def made(*arguments: str) -> str:
        return command("token", "create", *arguments, "--redis-url", address).stdout.strip()

    admin, reader = made("ada", "--scope", "admin"), made("bob", "--scope", "read")
    brief = made("eve", "--scope", "read", "--expires", "0.000001")
    wrong = admin[:-43] + "W" * 43
    jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9.c2VjcmV0LXNpZ25hdHVyZQ"
    secrets = {admin, reader, brief, wrong, jwt}
    answers: list[str] = []
    with Api(address, NPLMON_ACCESS="tokens", NPLMON_TOKEN=reader) as api:

        def ask(method: str, path: str, token: str, **options: object) -> None:
            headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}  # type: ignore[dict-item]
            answer = api.http.request(method, path, headers=headers, **options)  # type: ignore[arg-type]
            answers.append(answer.text + str({k: v for k, v in answer.headers.items() if k != "set-cookie"}))

        ask("GET", "/v1/monitors", reader)
        for token in (wrong, brief, jwt):
            ask("GET", "/v1/monitors", token)
        ask("DELETE", "/v1/monitors/m", reader)
        ask("GET", "/v1/nothing", reader)
        ask(
            "PUT",
            "/v1/references/sm?features=a,b",
            admin,
            content=npy(events(300)),
            headers={"Content-Type": NPY},
        )
        ask("PUT", "/v1/references/sm?features=a,b", admin, content=b"broken", headers={"Content-Type": NPY})
        ask("POST", "/v1/monitors", admin, json={"name": "m", "reference": "sm"})
        ask("POST", "/v1/monitors", admin, json={"name": "!", "reference": 7})
        ask("GET", "/v1/tokens", admin)
        ask("GET", "/v1/audit", admin)
        ask("GET", "/openapi.json", admin)
        signed = api.http.post("/v1/session", headers={"Authorization": f"Bearer {reader}"})
        held = signed.cookies["nplmon-session"]
        secrets.add(held)
        answers.append(signed.text)
        answers.append(api.http.get("/v1/session").text)
        answers.append(api.http.get("/v1/tokens").text)
        # The store breaks in the middle of it.
        store.stop()
        for path in ("/v1/monitors", "/readyz", "/v1/overview", "/v1/system"):
            ask("GET", path, reader)
        ask("GET", "/v1/monitors", admin)
        store.start()
        ask("GET", "/metrics", admin)
        said = api.said
    assert len([answer for answer in answers if "problems/" in answer]) >= 8
    listed = command("token", "list", "--redis-url", address).stdout
    refused = command("monitor", "list", "--url", api.url, check=False, NPLMON_TOKEN=wrong)
    files = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
    for secret in secrets:
        tail = secret[-20:]
        assert tail not in said
        assert tail not in "".join(answers)
        assert tail not in listed + refused.stdout + refused.stderr
        assert tail.encode() not in files, "the store has a secret as it is"


def test_a_process_does_not_show_it_in_its_arguments(store: EmbeddedStore) -> None:
    token = command("token", "create", "ada", "--scope", "read", "--redis-url", store.url).stdout.strip()
    with Api(store.url, NPLMON_ACCESS="tokens", NPLMON_TOKEN=token) as api:
        shown = Path(f"/proc/{api.pid}/cmdline").read_bytes()
        assert b"--redis-url" in shown
        assert token[-20:].encode() not in shown
