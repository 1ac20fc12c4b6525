"""Behind a proxy: what it says of whom it speaks for counts where it is trusted, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.security.running import Api, command

from nplmon.broker.embedded import EmbeddedStore

SAID = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "Host": "monitor.example"}


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    store = EmbeddedStore(tmp_path / "store")
    store.start()
    yield store.url
    store.stop()


@pytest.mark.parametrize(
    ("proxies", "trusted"),
    [("127.0.0.1", True), ("10.0.0.1, 127.0.0.1", True), ("", False), ("10.0.0.1", False)],
)
def test_address_and_scheme_are_those_of_the_browser_only_where_the_proxy_is_trusted(
    address: str, proxies: str, trusted: bool
) -> None:
    token = command("token", "create", "ada", "--scope", "admin", "--redis-url", address).stdout.strip()
    with Api(address, NPLMON_ACCESS="tokens", NPLMON_TRUSTED_PROXIES=proxies) as api:
        signed = api.http.post("/v1/session", headers=SAID | {"Authorization": f"Bearer {token}"})
        assert signed.status_code == 201
        cookie = signed.headers["set-cookie"]
        assert cookie.startswith("__Host-nplmon-session=" if trusted else "nplmon-session=")
        assert ("Secure" in cookie) is trusted
        assert ("strict-transport-security" in signed.headers) is trusted
        audit = api.get("/v1/audit", token).json()["entries"]
        assert audit[0]["address"] == ("203.0.113.9" if trusted else "127.0.0.1")


def test_failed_attempts_count_for_who_made_them(address: str) -> None:
    """With the proxy's address for all, one attacker would shut out everyone."""
    token = command("token", "create", "ada", "--scope", "read", "--redis-url", address).stdout.strip()
    with Api(address, NPLMON_ACCESS="tokens", NPLMON_TRUSTED_PROXIES="127.0.0.1") as api:

        def status(forwarded: str, text: str) -> int:
            headers = {"X-Forwarded-For": forwarded, "Authorization": f"Bearer {text}"}
            return api.http.get("/v1/monitors", headers=headers).status_code

        for number in range(60):
            if status("203.0.113.9", f"nplmon_0123456789abcdef_{'A' * 41}{number:02d}") == 429:
                break
        else:
            pytest.fail("nobody is shut out")
        assert status("203.0.113.10", token) == 200
