"""The keys that docs/redis.md lists, and whether a store holds any other, or one that has outlived its owner."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from redis import Redis

PAGE = Path(__file__).parents[1] / "docs" / "redis.md"
_ROW = re.compile(r"^\| `(nplmon:[^`]+)` \| ([a-z ]+) \| ([a-z]+) \|", re.MULTILINE)
_PLACE = re.compile(r"[A-Z]+")
_TYPES = {"sorted set": "zset"}
OWNERS = {
    "store": None,
    "expires": None,
    "reference": "nplmon:{{reference:{HASH}}}:meta",
    "monitor": "nplmon:{{{M}}}:monitor",
    "run": "nplmon:{{{M}}}:run:{R}",
}
"""What must be there as long as a key that lives with it."""


@dataclass(frozen=True)
class Documented:
    """One line of the table."""

    pattern: str
    type: str
    lives: str

    def match(self, key: str) -> dict[str, str] | None:
        """Give what stands in the places of a key, None if it is another's."""
        text = re.escape(self.pattern)
        found = re.fullmatch(_PLACE.sub(lambda place: f"(?P<{place[0]}>[^:{{}}]+)", text), key)
        return found.groupdict() if found else None


@cache
def documented() -> tuple[Documented, ...]:
    """Read the table."""
    rows = [
        Documented(pattern, _TYPES.get(kind, kind), lives)
        for pattern, kind, lives in _ROW.findall(PAGE.read_text(encoding="utf-8"))
    ]
    assert len(rows) > 30
    assert {row.lives for row in rows} == set(OWNERS)
    return tuple(rows)


def line_of(key: str) -> tuple[Documented, dict[str, str]] | None:
    """Give the line of the table that a key belongs to, with what stands in its places."""
    found = [(row, places) for row in documented() if (places := row.match(key)) is not None]
    assert len(found) < 2, f"{key} is documented twice"
    return found[0] if found else None


def leaks(redis: Redis) -> Iterator[str]:
    """Say of each key what is wrong with it: nobody documented it, it has another type, or no owner and no end."""
    for stored in redis.scan_iter(count=1000):
        key = stored.decode()
        found = line_of(key)
        if found is None:
            yield f"{key}: not in docs/redis.md"
            continue
        row, places = found
        kind, left = redis.type(stored).decode(), redis.pttl(stored)
        if kind == "none" or left >= 0:
            continue
        if kind != row.type:
            yield f"{key}: a {kind}, documented as a {row.type}"
        owner = OWNERS[row.lives]
        if row.lives == "expires":
            yield f"{key}: never expires"
        elif owner is not None and not redis.exists(owner.format(**places)):
            yield f"{key}: without {owner.format(**places)}, that it lives with"
