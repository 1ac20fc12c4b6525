"""Settings: one validated object, read from `NPLMON_*` environment variables."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Scope = Literal["push", "read", "operate", "admin"]
Megabytes = Annotated[int, Field(gt=0)]

SECRET_BYTES = 24
"""The least that Standard Webhooks allows."""


class MailServer(NamedTuple):
    """Where e-mail is handed in."""

    host: str
    port: int
    user: str | None
    password: str | None
    tls: bool
    """From the first byte (smtps)."""
    starttls: bool


def mail_server(url: str) -> MailServer:
    """Read the address of a mail server.

    Raises
    ------
    ValueError
        If it is none. The message does not repeat it, for it may hold a password.

    Examples
    --------
    >>> mail_server("smtp://ada:secret@mail.example:587").starttls, mail_server("smtp://localhost:25").starttls
    (True, False)
    >>> mail_server("smtps://mail.example").port
    465
    """
    remedy = "give smtp://[USER:PASSWORD@]HOST[:PORT][?starttls=yes|no] or smtps://..."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"the port is no number: {remedy}") from None
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    asked = query.pop("starttls", None)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or query or parts.path not in {"", "/"}:
        raise ValueError(f"no address of a mail server: {remedy}")
    tls = parts.scheme == "smtps"
    if asked not in {None, "yes", "no"} or (tls and asked == "yes"):
        raise ValueError(f"starttls is yes or no, and smtps needs none: {remedy}")
    port = port or (465 if tls else 587)
    # Where it is not said, nothing that is secret goes over a line that anybody may read.
    wanted = not tls and (port == 587 or parts.username is not None)
    return MailServer(
        host=parts.hostname,
        port=port,
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        tls=tls,
        starttls=wanted if asked is None else asked == "yes",
    )


def _mail_url(value: SecretStr) -> SecretStr:
    mail_server(value.get_secret_value())
    return value


def _signing(value: SecretStr) -> SecretStr:
    secrets = value.get_secret_value().split()
    try:
        keys = [base64.b64decode(one.removeprefix("whsec_"), validate=True) for one in secrets]
    except (binascii.Error, ValueError):
        keys = []
    if not keys or min(map(len, keys)) < SECRET_BYTES:
        raise ValueError(
            f"give whsec_ and at least {SECRET_BYTES} random bytes in base64, such as from: "
            f"echo whsec_$(openssl rand -base64 {SECRET_BYTES})"
        )
    return value


SCOPES = ("push", "read", "operate", "admin")


def scopes_by_group(text: str) -> dict[str, tuple[Scope, ...]]:
    """Read what groups may do.

    Raises
    ------
    ValueError
        If a part has another form, or names something that is no scope.

    Examples
    --------
    >>> scopes_by_group("shifters=read,operate; experts=admin")
    {'shifters': ('read', 'operate'), 'experts': ('admin',)}
    """
    found = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        group, equals, scopes = part.partition("=")
        named = tuple(scope.strip() for scope in scopes.split(","))
        if not equals or not group.strip() or not set(named) <= set(SCOPES):
            message = f"{part!r} is not of the form GROUP=SCOPE,SCOPE with scopes of {', '.join(SCOPES)}"
            raise ValueError(message)
        found[group.strip()] = cast("tuple[Scope, ...]", named)
    return found


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a server that listens on `host`.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    return host in ("localhost", "::1") or host.startswith("127.")


class Settings(BaseSettings):
    """All settings of all roles.

    Raises
    ------
    pydantic.ValidationError
        If a variable has a value out of its range; the message names the variable's field.

    Examples
    --------
    >>> Settings(port=9000).port
    9000
    """

    model_config = SettingsConfigDict(
        env_prefix="NPLMON_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    url: str = Field(
        default="http://127.0.0.1:8471", description="Address of the API, for clients and commands."
    )
    token: SecretStr | None = Field(
        default=None,
        description="API token that clients and commands send; masked wherever settings are shown.",
    )
    plain_http: bool = Field(
        default=False,
        description="Whether clients send the token over plain http to another machine.",
    )
    redis_url: str | None = Field(
        default=None,
        description=(
            "Redis or Valkey: redis://, rediss:// or unix://; a cluster: redis+cluster:// or rediss+cluster://. "
            "Credentials are masked in logs."
        ),
    )
    data_dir: Path = Field(
        default=Path("nplmon-data"),
        description="Where `nplmon up` keeps the embedded store and the reference cache.",
    )
    appendfsync: Literal["everysec", "always"] = Field(
        default="everysec",
        description=(
            "When the embedded store lets the disk keep what it wrote: each second, or before each answer, so that "
            "also a machine that loses power loses nothing that was accepted."
        ),
    )
    host: str = Field(default="127.0.0.1", description="Address that the servers of all roles listen on.")
    access: Literal["auto", "open", "tokens"] = Field(
        default="auto",
        description="Whether requests need a token; auto: where the API listens on more than loopback.",
    )
    allowed_hosts: str = Field(
        default="",
        description=(
            "Names, comma separated, under which browsers may reach the API, beside IP addresses, localhost and this "
            "machine's own name."
        ),
    )
    oidc_issuer: str | None = Field(
        default=None,
        pattern=r"^(https://|http://(127\.0\.0\.1|localhost|\[::1\])[:/])",
        description="OIDC issuer whose bearer tokens are accepted, as in their `iss`; https.",
    )
    oidc_audience: str | None = Field(
        default=None, description="What the `aud` of its tokens must be; needed with an issuer."
    )
    oidc_claim: str = Field(default="groups", description="Claim that holds the groups of a user.")
    oidc_scopes: str = Field(
        default="", description="What groups may do, as in `shifters=read,operate; experts=admin`."
    )
    oidc_name: str = Field(
        default="preferred_username", description="Claim under whose value a user acts; without it, `sub`."
    )
    trusted_proxies: str = Field(
        default="",
        description="Addresses of proxies, comma separated, that say truly whom they speak for (X-Forwarded-*).",
    )
    session_seconds: float = Field(
        default=28_800.0, ge=60.0, description="After which a browser has to sign in again, in s."
    )
    rate_limit: float = Field(
        default=1000.0,
        gt=0,
        description="Requests of one token per second at one API process, and twice as many at once; more get 429.",
    )
    port: int = Field(default=8471, ge=0, le=65535, description="Port of the API; 0 takes a free one.")
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port of a trainer's or aggregator's metrics; 0 takes a free one.",
    )
    metrics_host: str | None = Field(
        default=None,
        description=(
            "Address that the metrics of trainers and aggregators listen on; without one NPLMON_HOST, but loopback "
            "where `nplmon up` asks for tokens."
        ),
    )
    body_limit_mb: Megabytes = Field(default=64, description="Largest body of a chunk, in MB (10^6 bytes).")
    reference_limit_mb: Megabytes = Field(
        default=1024, description="Largest body of a reference, in MB (10^6 bytes)."
    )
    pool_limit_mb: Megabytes = Field(
        default=1024, description="Events that the pool of one reference may hold, in MB (10^6 bytes)."
    )
    backlog_limit: int = Field(
        default=1000,
        gt=0,
        description="Chunks of one monitor that may wait or be in work; more are refused with 429.",
    )
    lease_seconds: float = Field(
        default=10.0,
        ge=1.0,
        description="A chunk whose holder gives no sign for this long is handed to another, in s.",
    )
    deliveries_limit: int = Field(
        default=3, ge=1, description="Deliveries of one chunk after which it is given up as a dead letter."
    )
    aggregation_events: int = Field(
        default=200_000,
        ge=0,
        description=(
            "Events of a run kept for the exact t_agg, 4 bytes for each component of all kernel widths; beyond, t_agg "
            "is frozen."
        ),
    )
    exposure_budget: float = Field(
        default=0.5,
        gt=0,
        description="Exposure ratio past which the finite reference dominates; marked in the snapshot.",
    )
    device: str = Field(
        default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="Device of a trainer's fits."
    )
    threads: int = Field(
        default=0, ge=0, description="Threads of one trainer's fit; 0 leaves the choice to torch."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="Log lines for people or for machines; auto: console on a terminal."
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://\S+$",
        description="Address of the page as people reach it, for links in notifications; without it NPLMON_URL.",
    )
    webhook_secret: Annotated[SecretStr, AfterValidator(_signing)] | None = Field(
        default=None,
        description=(
            "Signs webhooks: whsec_ and at least 24 bytes in base64; several, separated by spaces, while it is "
            "replaced. Never shown."
        ),
    )
    smtp_url: Annotated[SecretStr, AfterValidator(_mail_url)] | None = Field(
        default=None,
        description=(
            "Mail server for notifications: smtp://[USER:PASSWORD@]HOST[:PORT][?starttls=yes/no] or smtps://. Never "
            "shown."
        ),
    )
    mail_from: str | None = Field(
        default=None,
        pattern=r"^[^@\s]+@[^@\s]+$",
        description="Sender of notifications by e-mail, an address.",
    )

    @model_validator(mode="after")
    def _oidc(self) -> Self:
        if self.oidc_issuer is not None and not self.oidc_audience:
            message = "NPLMON_OIDC_ISSUER needs NPLMON_OIDC_AUDIENCE: tokens for others would be good here"
            raise ValueError(message)
        scopes_by_group(self.oidc_scopes)
        return self

    @property
    def workers_host(self) -> str:
        """Address that the servers of trainers and aggregators listen on."""
        return self.metrics_host or self.host

    @property
    def needs_tokens(self) -> bool:
        """Whether requests to the API need a token."""
        return self.access == "tokens" or (self.access == "auto" and not is_loopback(self.host))
