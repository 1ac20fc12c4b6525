"""From the service's JSON to records and back."""

from __future__ import annotations

import dataclasses
import functools
import types
from typing import Any, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from nplmon.client.errors import UnexpectedAnswer

R = TypeVar("R")

Json: TypeAlias = Any
"""Decoded JSON."""


def decode(kind: type[R], value: Json) -> R:
    """Build the record `kind` from decoded JSON; members that the record does not know are ignored.

    Raises
    ------
    UnexpectedAnswer
        If a member without default is missing, or an object was expected and is not there.

    Examples
    --------
    >>> from nplmon.client.records import Alarm
    >>> decode(Alarm, {"level": "alarm", "sequence": 12, "later": True}).sequence
    12
    """
    if not isinstance(value, dict):
        raise UnexpectedAnswer(
            f"expected an object for {kind.__name__}, got {value!r:.80}; is this address an nplmon service?"
        )
    members = {}
    for name, (said, hint, required) in _members(kind).items():  # type: ignore[arg-type]  # a type is hashable
        if said in value:
            members[name] = _convert(hint, value[said])
        elif required:
            raise UnexpectedAnswer(
                f"{kind.__name__} lacks {said!r} in the answer; are client and service of one version?"
            )
    return kind(**members)


def encode(record: object) -> Json:
    """Give the plain JSON form of a record, or of a container of records.

    Examples
    --------
    >>> from nplmon.client.records import Kernel
    >>> encode(Kernel(centres=10))["lambda"]
    1e-06
    """
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        fields = dataclasses.fields(record)
        return {f.metadata.get("name", f.name): encode(getattr(record, f.name)) for f in fields}
    if isinstance(record, dict):
        return {name: encode(value) for name, value in record.items()}
    if isinstance(record, list | tuple):
        return [encode(value) for value in record]
    return record


@functools.cache
def _members(kind: type[Any]) -> dict[str, tuple[str, Any, bool]]:
    """Of each field: its name in JSON, its type, and whether it has no default."""
    hints = get_type_hints(kind)
    return {
        f.name: (
            f.metadata.get("name", f.name),
            hints[f.name],
            f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING,
        )
        for f in dataclasses.fields(kind)
    }


def _convert(hint: object, value: Json) -> Json:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return decode(hint, value)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return None if value is None else _convert(arguments[0], value)
    if origin is tuple:
        return tuple(_convert(arguments[0], item) for item in value)
    if origin is dict:
        return {name: _convert(arguments[1], item) for name, item in value.items()}
    return float(value) if hint is float else value
