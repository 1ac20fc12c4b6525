"""One role as a supervised process: started, restarted with backoff, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping

import structlog

from nplmon.supervisor.errors import SupervisorError
from nplmon.supervisor.logfile import LogFile

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
STEADY_SECONDS = 30.0
"""A child that lived this long is taken to be sound: its next death is restarted without a longer delay."""
EARLY_DEATHS = 3
"""Deaths before the service was ever ready after which it is given up: the fault is then in the setup."""


class RoleProcess:
    """One child and all its successors.

    Parameters
    ----------
    name:
        What it is called in logs and file names, such as "trainer-1".
    serve:
        `MODULE:FUNCTION` of the role.
    environment:
        Its whole environment.
    log:
        Where its standard output and error go.
    lifeline:
        Read end of the parent's pipe.
    """

    def __init__(
        self, name: str, serve: str, *, environment: Mapping[str, str], log: LogFile, lifeline: int
    ) -> None:
        self.name = name
        self.log = log
        self._serve = serve
        self._environment = dict(environment)
        self._lifeline = lifeline
        self._process: asyncio.subprocess.Process | None = None
        self._stop = asyncio.Event()
        self._ready = False
        self._task: asyncio.Task[None] | None = None
        self._speak = structlog.get_logger().bind(child=name)

    @property
    def pid(self) -> int | None:
        """Process id of the present child, None while there is none."""
        if self._process is None or self._process.returncode is not None:
            return None
        return self._process.pid

    def mark_ready(self) -> None:
        """From now on a death is an accident to recover from, not a fault of the setup."""
        self._ready = True

    def start(self) -> asyncio.Task[None]:
        """Begin; the task ends after `stop`, or with `SupervisorError` if the role cannot be started."""
        self._task = asyncio.create_task(self._keep(), name=self.name)
        return self._task

    async def _keep(self) -> None:
        deaths = 0
        delay = FIRST_DELAY
        clock = asyncio.get_running_loop().time
        while not self._stop.is_set():
            began = clock()
            code = await self._run_once()
            if self._stop.is_set():
                return
            if clock() - began > STEADY_SECONDS:
                deaths, delay = 0, FIRST_DELAY
            deaths += 1
            self.report()
            how = _how(code)
            if deaths >= EARLY_DEATHS and not self._ready:
                raise SupervisorError(
                    f"{self.name} died {deaths} times before it was ready ({how}): "
                    f"{self.log.last_words or 'it said nothing'}; see {self.log.path}"
                )
            self._speak.error("child died", how=how, last_words=self.log.last_words, restart_seconds=delay)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), delay)
            delay = min(2 * delay, LONGEST_DELAY)

    async def _run_once(self) -> int:
        output = self.log.open_for_child()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "nplmon.supervisor.child",
                self._serve,
                "--lifeline",
                str(self._lifeline),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                pass_fds=(self._lifeline,),
                # Ctrl-C reaches every process of the terminal's group at once; the order of stopping is ours.
                start_new_session=True,
            )
        finally:
            os.close(output)
        if self._stop.is_set():  # stop() came while the child was being made
            self._process.send_signal(signal.SIGTERM)
        return await self._process.wait()

    def report(self) -> None:
        """Repeat the child's new warnings on our own log."""
        for record in self.log.follow():
            fields = {key: value for key, value in record.items() if key not in _OWN_FIELDS}
            speak = self._speak.warning if record["level"] == "warning" else self._speak.error
            speak(str(record.get("event", "")), **fields)

    def hold(self) -> None:
        """From now on a death is final: the service is stopping."""
        self._stop.set()

    async def stop(self, patience: float) -> None:
        """Ask the child to stop, and end it hard when patience is over.

        Parameters
        ----------
        patience:
            How long it may take, in s.
        """
        self._stop.set()
        self.signal(signal.SIGTERM)
        if self._task is None:
            return
        done, _ = await asyncio.wait({self._task}, timeout=patience)
        if not done:
            # Nothing is lost: what the child had in hand is leased, and the store alone says what is done.
            self._speak.warning("child did not stop in time and is killed", patience_seconds=patience)
            self.signal(signal.SIGKILL)
            await asyncio.wait({self._task})
        self.report()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the child if it lives."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)


_OWN_FIELDS = frozenset({"event", "level", "timestamp", "role", "child"})


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
