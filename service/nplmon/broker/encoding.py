"""Bytes of the messages: JSON for what people may read, MessagePack with a tag for fits and deaths."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from nplmon.broker.errors import StoredOtherwise
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
    StoredOtherwise
        If a field is missing, unknown or of another type, or it is no JSON.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise StoredOtherwise(kind.__name__.strip("_"), str(error)) from error


def pack(result: Fit | Death) -> bytes:
    """Encode a result; its first byte says what it is, `F` or `D`, and the second of a fit its version."""
    return (bytes([ord("F"), FIT_VERSION]) if isinstance(result, Fit) else b"D") + _PACK.encode(result)


def unpack(body: bytes) -> Fit | Death:
    """Decode a result.

    Raises
    ------
    StoredOtherwise
        If the first byte is neither `F` nor `D`, a fit has another version, or what follows is no such message.
    """
    tag, rest = body[:1], memoryview(body)[1:]
    if tag not in {b"F", b"D"}:
        raise StoredOtherwise("result", f"it begins with {tag!r}, not with F or D")
    if tag == b"F" and body[1:2] != bytes([FIT_VERSION]):
        version = body[1] if len(body) > 1 else "no"
        raise StoredOtherwise("fit", f"it has version {version}, not {FIT_VERSION}")
    try:
        return _FIT.decode(rest[1:]) if tag == b"F" else _DEATH.decode(rest)
    except msgspec.DecodeError as error:
        raise StoredOtherwise("fit" if tag == b"F" else "death", str(error)) from error
