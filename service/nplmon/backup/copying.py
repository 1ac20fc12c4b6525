"""Copying keys from one server to another, of whatever kind and version: by what they hold, not by their encoding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from redis import Redis

from nplmon.backup.errors import BackupError

_AT_ONCE = 500
_BYTES_AT_ONCE = 32_000_000


class Copying:
    """Copies keys with all that they hold, and when they expire.

    Parameters
    ----------
    source, target
        Clients that give bytes.
    """

    def __init__(self, source: Redis, target: Redis) -> None:
        # The types of the client's replies depend on its settings.
        self._source: Any = source
        self._target: Any = target

    def copy(self, key: bytes) -> bool:
        """Copy one key that the target lacks; False if it has expired.

        Raises
        ------
        BackupError
            If it is of a type that nplmon does not store.
        """
        kind = self._source.type(key).decode()
        if kind == "none":
            return False
        copies = {
            "string": self._string,
            "hash": self._hash,
            "list": self._list,
            "set": self._set,
            "zset": self._sorted_set,
            "stream": self._stream,
        }
        if kind not in copies:
            message = f"the backup holds a {kind}, {key.decode(errors='replace')}, which nplmon never writes"
            raise BackupError(message)
        copies[kind](key)
        until = self._source.pexpiretime(key)
        if until > 0:
            self._target.pexpireat(key, until)
        return True

    def _string(self, key: bytes) -> None:
        self._target.set(key, self._source.get(key))

    def _hash(self, key: bytes) -> None:
        fields = self._source.hkeys(key)
        for names in _batches(fields):
            with self._source.pipeline(transaction=False) as asked:
                for name in names:
                    asked.hstrlen(key, name)
                sizes = asked.execute()
            for group in _by_size(names, sizes):
                values = self._source.hmget(key, group)
                self._target.hset(key, mapping=dict(zip(group, values, strict=True)))

    def _list(self, key: bytes) -> None:
        for first in range(0, self._source.llen(key), _AT_ONCE):
            self._target.rpush(key, *self._source.lrange(key, first, first + _AT_ONCE - 1))

    def _set(self, key: bytes) -> None:
        for members in _batches(sorted(self._source.smembers(key))):
            self._target.sadd(key, *members)

    def _sorted_set(self, key: bytes) -> None:
        for members in _batches(self._source.zrange(key, 0, -1, withscores=True)):
            self._target.zadd(key, dict(members))

    def _stream(self, key: bytes) -> None:
        """Copy entries, groups and what is pending: whose it is, for how long, and how often it was given out."""
        last = b"-"
        while entries := self._source.execute_command("XRANGE", key, last, "+", "COUNT", _AT_ONCE):
            with self._target.pipeline(transaction=False) as told:
                for entry, fields in entries:
                    told.xadd(key, fields, id=entry)
                told.execute()
            last = b"(" + entries[-1][0]
        about = self._source.xinfo_stream(key)
        groups = self._source.xinfo_groups(key)
        if last == b"-":  # a stream can be empty only once it had an entry or has a group
            self._target.xgroup_create(key, b"nplmon-restore", id="0", mkstream=True)
            self._target.xgroup_destroy(key, b"nplmon-restore")
        self._target.execute_command(
            "XSETID", key, about["last-generated-id"],
            "ENTRIESADDED", about["entries-added"],
            "MAXDELETEDID", about["max-deleted-entry-id"],
        )  # fmt: skip
        for group in groups:
            self._group(key, group)

    def _group(self, key: bytes, group: dict[str, Any]) -> None:
        name = group["name"]
        read = group.get("entries-read")
        counted = () if read is None else ("ENTRIESREAD", read)
        self._target.execute_command("XGROUP", "CREATE", key, name, group["last-delivered-id"], *counted)
        for consumer in self._source.xinfo_consumers(key, name):
            self._target.xgroup_createconsumer(key, name, consumer["name"])
        last = "-"
        while found := self._source.xpending_range(key, name, min=last, max="+", count=_AT_ONCE):
            with self._target.pipeline(transaction=False) as told:
                for one in found:
                    told.xclaim(
                        key,
                        name,
                        one["consumer"],
                        0,
                        [one["message_id"]],
                        idle=one["time_since_delivered"],
                        retrycount=one["times_delivered"],
                        force=True,
                        justid=True,
                    )
                told.execute()
            last = "(" + found[-1]["message_id"].decode()


def _batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for first in range(0, len(values), _AT_ONCE):
        yield values[first : first + _AT_ONCE]


def _by_size(names: Sequence[bytes], sizes: Sequence[int]) -> Iterator[list[bytes]]:
    """Give names in groups whose values together are no larger than needed: at least one, at most some MB."""
    group: list[bytes] = []
    held = 0
    for name, size in zip(names, sizes, strict=True):
        if group and held + size > _BYTES_AT_ONCE:
            yield group
            group, held = [], 0
        group.append(name)
        held += size
    if group:
        yield group
