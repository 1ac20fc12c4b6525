"""A service of its own for the demonstration: `nplmon up` as a child process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

READY_SECONDS = 60.0
STOP_SECONDS = 40.0


class RunningService:
    """Runs `nplmon up` while the context is open.

    Parameters
    ----------
    data_dir:
        Its data directory.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it is ready.

        Raises
        ------
        RuntimeError
            If it ends instead, or is not ready in time; the message carries its last words.
        """
        self._data_dir.mkdir(parents=True, exist_ok=True)
        said = self._data_dir / "up.log"
        command = [sys.executable, "-m", "nplmon.cli", "up", "--data-dir", str(self._data_dir), "--port", "0"]
        with said.open("wb") as output:
            # A session of its own: Ctrl-C reaches the demonstration, which stops the service in order.
            self._process = subprocess.Popen(  # noqa: S603 (our own command)
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Of this machine alone and for a minute: whatever the settings of a service are, it asks nobody.
                env=os.environ | {"NPLMON_ACCESS": "open", "NPLMON_HOST": "127.0.0.1"},
            )
        deadline = time.monotonic() + READY_SECONDS
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise RuntimeError(f"the service did not start: {said.read_text(errors='replace').strip()}")
            time.sleep(0.05)
        return self

    def _ready(self) -> bool:
        path = self._data_dir / "up.json"
        try:
            self.addresses = json.loads(path.read_text())
        except (OSError, ValueError):
            return False
        return self._process is not None and bool(self.addresses["pid"] == self._process.pid)

    @property
    def api(self) -> str:
        """The address of the API."""
        return str(self.addresses["api"])

    def wait(self) -> None:
        """Return when the service ends by itself."""
        if self._process is not None:
            self._process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it; what does not end in time is killed, with all that it started."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
