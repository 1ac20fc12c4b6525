"""The screen of `nplmon demo`: a progress bar over the state of the run; plain lines where there is no terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from nplmon.cli.display import main_kind, panel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from nplmon.client import HistoryEntry, Status
    from nplmon.demo import Stream

LINES_EVERY = 5


class Screen:
    """Follows a run while the context is open.

    Parameters
    ----------
    console:
        Where it is shown.
    stream:
        What is played: gives the length of the progress bar and where the anomaly begins.
    """

    def __init__(self, console: Console, stream: Stream) -> None:
        self._console = console
        self._stream = stream
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(40),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._task = self._progress.add_task("waiting for the first chunk", total=stream.total)
        self._live = Live(self._progress, console=console, auto_refresh=False, transient=False)
        self._told = 0

    def __enter__(self) -> Self:
        """Begin."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state on the screen."""
        self._live.stop()

    def show(self, status: Status, history: Sequence[HistoryEntry]) -> None:
        """Bring the screen up to date."""
        done = len(history)
        phase = "ordinary chunks" if done <= self._stream.ordinary else "anomalous chunks"
        if self._console.is_terminal:
            self._progress.update(
                self._task, completed=done, description=phase if done else "preparing the reference"
            )
            self._live.update(Group(self._progress, panel(status, history, time.time())), refresh=True)
        elif done >= self._told + LINES_EVERY or done == self._stream.total > self._told:
            self._told = done
            self._console.print(self._line(status, done, phase), highlight=False, soft_wrap=True)

    def _line(self, status: Status, done: int, phase: str) -> str:
        snapshot = status.snapshot
        kind = None if snapshot is None else main_kind(snapshot)
        if snapshot is None or kind is None:
            return f"{done} of {self._stream.total} ({phase})"
        one = snapshot.statistics[kind]
        if one.value is None or one.threshold is None or one.z is None:
            return f"{done} of {self._stream.total} ({phase}): {kind} {one.state}"
        return (
            f"{done:3d} of {self._stream.total} ({phase}): {kind} = {one.value:.1f}, threshold {one.threshold:.1f}, "
            f"Z = {one.z:.2f}, {snapshot.alarm.level}"
        )
