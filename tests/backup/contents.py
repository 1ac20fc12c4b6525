"""All that a server holds, in a form that can be compared: by what it is, not by how it is encoded."""

from __future__ import annotations

from typing import Any

from redis import Redis


def contents(redis: Any) -> dict[bytes, Any]:
    """Give what each key holds and when it expires."""
    return {key: (_held(redis, key), redis.pexpiretime(key)) for key in redis.scan_iter("nplmon:*")}


def _held(redis: Any, key: bytes) -> Any:
    kind = redis.type(key).decode()
    if kind == "stream":
        return _stream(redis, key)
    reads = {
        "string": redis.get,
        "hash": redis.hgetall,
        "list": lambda key: redis.lrange(key, 0, -1),
        "set": redis.smembers,
        "zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
    }
    return reads[kind](key)


def _stream(redis: Redis, key: bytes) -> dict[str, Any]:
    """Give entries, counters, and of each group what is pending: whose, for how long (to 10 s), how often."""
    about: Any = redis.xinfo_stream(key)
    groups: Any = redis.xinfo_groups(key)
    return {
        "entries": redis.xrange(key),
        "about": {
            name: about[name] for name in ("last-generated-id", "entries-added", "max-deleted-entry-id", "length")
        },
        "groups": [
            {name: one[name] for name in ("name", "last-delivered-id", "entries-read", "pending")} for one in groups
        ],
        "consumers": [
            sorted((one["name"], one["pending"]) for one in redis.xinfo_consumers(key, group["name"]))
            for group in groups
        ],
        "pending": [
            [
                (one["message_id"], one["consumer"], one["times_delivered"], one["time_since_delivered"] // 60_000)
                for one in redis.xpending_range(key, group["name"], "-", "+", 1000)
            ]
            for group in groups
        ],
    }  # fmt: skip
