"""E-mail: one letter for each address, handed in at a mail server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiosmtplib

from nplmon.notifier.errors import GiveUp, TryLater
from nplmon.notifier.letter import letter_of
from nplmon.settings import mail_server

if TYPE_CHECKING:
    from pydantic import SecretStr

    from nplmon.notifier.channel import ChannelName
    from nplmon.notifier.notice import Notice

TIMEOUT_SECONDS: Final = 15.0
"""Of each step of the conversation."""
UNSET: Final = (
    "e-mail needs a mail server and a sender: set NPLMON_SMTP_URL and NPLMON_MAIL_FROM for the aggregator and start it "
    "again"
)


class Mail:
    """Sends notices as letters.

    Parameters
    ----------
    url:
        Of the mail server, see `nplmon.settings.mail_server`; None: nothing is sent.
    sender:
        An address; None: nothing is sent.
    """

    name: ChannelName = "email"

    def __init__(self, url: SecretStr | None, sender: str | None) -> None:
        self._server = None if url is None else mail_server(url.get_secret_value())
        self._sender = sender

    def missing(self) -> str:
        """Say what is missing."""
        return "" if self._server is not None and self._sender is not None else UNSET

    def shown(self, address: str) -> str:
        """Name a receiver."""
        return f"e-mail to {address}"

    async def deliver(self, address: str, notice: Notice) -> None:
        """Hand in a letter.

        Raises
        ------
        TryLater
            If the server is away, or answers 4xx.
        GiveUp
            If it answers 5xx, or cannot do what the settings ask for.
        """
        server, sender = self._server, self._sender
        if server is None or sender is None:
            raise GiveUp(UNSET)
        try:
            await aiosmtplib.send(
                letter_of(notice, sender, address),
                sender=sender,
                recipients=[address],
                hostname=server.host,
                port=server.port,
                username=server.user,
                password=server.password,
                use_tls=server.tls,
                start_tls=server.starttls,
                timeout=TIMEOUT_SECONDS,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            (refused,) = error.recipients
            raise _answered(refused.code, refused.message) from error
        except aiosmtplib.SMTPResponseException as error:
            raise _answered(error.code, error.message) from error
        except (
            aiosmtplib.SMTPServerDisconnected,
            aiosmtplib.SMTPConnectError,
            aiosmtplib.SMTPTimeoutError,
            OSError,
        ) as error:
            raise TryLater(f"no answer of the mail server: {type(error).__name__}: {error}") from error
        except aiosmtplib.SMTPException as error:
            raise GiveUp(f"the mail server cannot do what is asked: {error.message}") from error

    async def close(self) -> None:
        """Close nothing: each letter has a connection of its own."""


def _answered(code: int, message: str) -> TryLater | GiveUp:
    said = f"the mail server answered {code} {' '.join(message.split())}"
    return GiveUp(said) if code >= 500 else TryLater(said)
