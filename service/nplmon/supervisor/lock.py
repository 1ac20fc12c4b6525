"""The lock that makes one `nplmon up` the only one on a data directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from nplmon.supervisor.errors import SupervisorError


class DataDirectoryLock:
    """An exclusive flock on `DATA_DIR/up.lock`, held while the process lives.

    The kernel drops a flock with its holder, so a killed holder never leaves a stale lock. The file keeps the
    holder's process id; it is emptied on a clean release, so an id left in it tells of a holder that was
    killed.

    Parameters
    ----------
    data_dir:
        The directory; made if it is missing.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._descriptor: int | None = None
        self.predecessor_killed = False

    def acquire(self) -> None:
        """Take the lock, or say who has it.

        Raises
        ------
        SupervisorError
            If another process holds it, or the directory cannot be made or written.
        """
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            # Python's descriptors are closed on exec: a child that outlives us must not keep the lock.
            descriptor = os.open(self._data_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise SupervisorError(
                f"data directory {self._data_dir} cannot be used ({error.strerror}): "
                "choose another with --data-dir"
            ) from error
        holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise SupervisorError(
                f"nplmon up is already running on {self._data_dir} (process {holder or 'unknown'}): "
                "stop it first, or choose another --data-dir"
            ) from None
        self.predecessor_killed = bool(holder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; the file stays, because removing it would let two holders lock two files."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None
