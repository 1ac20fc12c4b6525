"""A directory into which files come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Look(NamedTuple):
    """A file as it was seen: while it grows, this changes."""

    size: int
    modified_ns: int
    inode: int


class GrowingDirectory:
    """Finds files that are complete and were not taken yet.

    A file is complete when its size and time of change stayed the same for `settle` seconds, or when it was
    already that old when first seen: it was renamed into place, or lay there before. Names that begin with a
    dot or end otherwise than `suffixes` are left alone, so a writer may use `.part` and rename.

    Parameters
    ----------
    settle:
        Seconds.
    """

    def __init__(self, path: Path, suffixes: Sequence[str], settle: float = 1.0) -> None:
        self.path = path
        self._suffixes = tuple(suffixes)
        self._settle = settle
        self._first_seen: dict[Path, tuple[Look, float]] = {}
        self._taken: dict[Path, Look] = {}

    def ready(self, now: float, wall: float) -> list[Path]:
        """List the complete files not taken yet, oldest first.

        Parameters
        ----------
        now, wall:
            A monotonic time, and the time as files tell it, in s.
        """
        found: list[tuple[int, str, Path]] = []
        for path in self.path.iterdir():
            if path.name.startswith(".") or not path.name.lower().endswith(self._suffixes):
                continue
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue  # renamed or removed since the listing
            look = Look(stat.st_size, stat.st_mtime_ns, stat.st_ino)
            if not path.is_file() or stat.st_size == 0 or self._taken.get(path) == look:
                continue
            seen, since = self._first_seen.get(path, (None, now))
            if seen != look:
                since = now
                self._first_seen[path] = (look, since)
            if now - since >= self._settle or (seen is None and wall - stat.st_mtime >= self._settle):
                found.append((stat.st_mtime_ns, path.name, path))
        return [path for _, _, path in sorted(found)]

    def take(self, path: Path) -> None:
        """Remember a file as done; it comes again only when it changes."""
        if path in self._first_seen:
            self._taken[path] = self._first_seen.pop(path)[0]
