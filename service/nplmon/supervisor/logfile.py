"""The log file of one child: written by the child itself, bounded and followed by the parent."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

LOUD = frozenset({"warning", "error", "critical"})


class LogFile:
    """`DATA_DIR/logs/ROLE.log` and its predecessor `ROLE.log.1`.

    The child writes to the file, not to a pipe: with a pipe, its last lines would be lost and its writes
    would fail once the parent has been killed, just when it has to stop in good order.

    Parameters
    ----------
    path:
        The file; appended to.
    limit_bytes:
        Size past which it is moved aside. At most about twice this is kept.
    """

    def __init__(self, path: Path, limit_bytes: int = 10_000_000) -> None:
        self.path = path
        self._limit = limit_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._offset = path.stat().st_size
        self._rest = b""
        self.last_words = ""
        """The last line that is no log record: of a child that died, the end of its traceback."""

    def open_for_child(self) -> int:
        """Open it in append mode, so that writing goes on at the start after the file was emptied."""
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def follow(self) -> list[dict[str, Any]]:
        """Read what was written since the last call and give the records that a person should see.

        Returns
        -------
        list of dict
            The records with level warning, error or critical, as written.
        """
        loud: list[dict[str, Any]] = []
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._offset:  # somebody else emptied it
                    self._offset = 0
                file.seek(self._offset)
                written = file.read()
        except FileNotFoundError:  # somebody removed it; the next child makes a new one
            self._offset = 0
            return []
        self._offset += len(written)
        *lines, self._rest = (self._rest + written).split(b"\n")
        for line in lines:
            record = _record(line)
            if record is not None and record.get("level") in LOUD:
                loud.append(record)
            elif record is None and line.strip():
                self.last_words = line.decode(errors="replace").strip()
        if self._offset > self._limit:
            self._set_aside()
        return loud

    def _set_aside(self) -> None:
        # Copy and empty, because the child keeps its descriptor; lines that fall between the two are lost.
        # On a full disk the copy fails; emptying is then all the more needed.
        with contextlib.suppress(OSError):
            shutil.copyfile(self.path, self.path.with_name(self.path.name + ".1"))
        os.truncate(self.path, 0)
        self._offset = 0


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
