"""Bytes of the messages: JSON for what people may read, MessagePack with a tag for fits and deaths."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from nplmon.broker.messages import Death, Fit

T = TypeVar("T")

FIT_VERSION = 2
"""2: one fit for each kernel width."""

_FIT = msgspec.msgpack.Decoder(Fit)
_DEATH = msgspec.msgpack.Decoder(Death)
_PACK = msgspec.msgpack.Encoder()


def to_json(message: msgspec.Struct) -> bytes:
    """Encode one message as JSON."""
    return msgspec.json.encode(message)


def from_json(body: bytes, kind: type[T]) -> T:
    """Decode one message from JSON.

    Raises
    ------
    msgspec.ValidationError
        If a field is missing, unknown or of another type.
    """
    return msgspec.json.decode(body, type=kind)


def pack(result: Fit | Death) -> bytes:
    """Encode a result; its first byte says what it is, `F` or `D`, and the second of a fit its version."""
    return (bytes([ord("F"), FIT_VERSION]) if isinstance(result, Fit) else b"D") + _PACK.encode(result)


def unpack(body: bytes) -> Fit | Death:
    """Decode a result.

    Raises
    ------
    ValueError
        If the first byte is neither `F` nor `D`, or a fit has another version.
    """
    tag, rest = body[:1], memoryview(body)[1:]
    if tag == b"F":
        version = body[1] if len(body) > 1 else None
        if version != FIT_VERSION:
            message = (
                f"a fit of version {version} cannot be read, only version {FIT_VERSION}: another version of nplmon "
                "wrote it; run trainers and aggregators of one version and reset the run"
            )
            raise ValueError(message)
        return _FIT.decode(rest[1:])
    if tag == b"D":
        return _DEATH.decode(rest)
    message = f"a result begins with F or D, not with {tag!r}"
    raise ValueError(message)
