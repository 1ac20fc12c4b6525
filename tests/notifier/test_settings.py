"""What the settings of notifications refuse, and that they show nothing."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from tests.notifier.samples import OTHER_SECRET, SECRET

from nplmon.settings import MailServer, Settings, mail_server
from nplmon.supervisor.service import _environment


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example", MailServer("mail.example", 587, None, None, tls=False, starttls=True)),
        ("smtp://mail.example:25", MailServer("mail.example", 25, None, None, tls=False, starttls=False)),
        ("smtp://a:b%40@m:25/", MailServer("m", 25, "a", "b@", tls=False, starttls=True)),
        ("smtp://m:587?starttls=no", MailServer("m", 587, None, None, tls=False, starttls=False)),
        ("smtps://a:b@m", MailServer("m", 465, "a", "b", tls=True, starttls=False)),
        ("smtp://m:2525?starttls=yes", MailServer("m", 2525, None, None, tls=False, starttls=True)),
    ],
)
def test_the_address_of_a_mail_server(url: str, server: MailServer) -> None:
    assert mail_server(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "http://geheim@m",
        "smtp://",
        "smtp://geheim@m:port",
        "smtp://geheim@m?tls=1",
        "smtp://geheim@m?starttls=maybe",
        "smtps://geheim@m?starttls=yes",
        "smtp://geheim@m/path",
        "geheim",
    ],
)
def test_another_address_is_refused_without_being_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPLMON_SMTP_URL", url)
    with pytest.raises(ValidationError, match="give smtp://") as caught:
        Settings()
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_geheim!", "whsec_Z2VoZWlt", f"{SECRET} geheim"])
def test_a_short_secret_is_refused_without_being_shown(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPLMON_WEBHOOK_SECRET", secret)
    with pytest.raises(ValidationError, match="at least 24 random bytes") as caught:
        Settings()
    assert "geheim" not in str(caught.value)


def test_secrets_are_masked_and_reach_the_roles() -> None:
    settings = Settings(webhook_secret=f"{SECRET} {OTHER_SECRET}", smtp_url="smtp://a:geheim@m")
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert SECRET not in shown
        assert "geheim" not in shown
    environment = _environment(settings)
    assert environment["NPLMON_WEBHOOK_SECRET"] == f"{SECRET} {OTHER_SECRET}"
    assert environment["NPLMON_SMTP_URL"] == "smtp://a:geheim@m"
