"""The progress of a calibration by toys: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Task

    from nplmon.client import CalibrationStatus

LINE_SECONDS = 10.0
"""Without a terminal, a line is printed no more often."""
SPEED_SECONDS = 60.0
"""Over so long a time the rate is averaged: batches end together, and chunks go first."""


class RateColumn(ProgressColumn):
    """Toys per second."""

    def render(self, task: Task) -> Text:
        """Show the rate, or nothing before two batches are done."""
        return Text("" if task.speed is None else f"{task.speed:.3g} toys/s", style="cyan")


class ToyProgress:
    """Follows a calibration while the context is open; on standard error, where no result goes."""

    def __init__(self, status: CalibrationStatus, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(40),
            MofNCompleteColumn(),
            RateColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            speed_estimate_period=SPEED_SECONDS,
            transient=True,
        )
        plan = status.calibration.plan
        self._task = self._progress.add_task(
            words(status), total=plan.toys, completed=status.calibration.toys_done
        )
        self._lined = time.monotonic()

    def __enter__(self) -> Self:
        """Begin."""
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self.leave()

    def leave(self) -> None:
        """Take the bar away, so that what follows is not torn."""
        if self._console.is_terminal:
            self._progress.stop()

    def show(self, status: CalibrationStatus) -> None:
        """Bring it up to date."""
        done = status.calibration.toys_done
        task = self._progress.tasks[0]
        # Only a step tells a speed: between two batches the rate is not 0.
        self._progress.update(
            self._task, description=words(status), completed=done if done != task.completed else None
        )
        self._line(f"{words(status)}: {done:,} of {status.calibration.plan.toys:,} toys")

    def trouble(self, said: str) -> None:
        """Say why the numbers are old."""
        self._progress.update(self._task, description=said)
        self._line(said)

    def _line(self, text: str) -> None:
        if not self._console.is_terminal and time.monotonic() >= self._lined + LINE_SECONDS:
            self._lined = time.monotonic()
            self._console.print(text, highlight=False, soft_wrap=True)


def words(status: CalibrationStatus) -> str:
    """Say what a calibration waits for.

    Examples
    --------
    >>> from nplmon.client import CalibrationPlan, CalibrationStatus, ToyCalibration
    >>> plan = CalibrationPlan(source="disjoint", toys=100, chunks=5, events=50.0, pool_events=500)
    >>> one = ToyCalibration(monitor="m", state="running", monitor_epoch=1, key="k", reference_hash="r", mode="shape",
    ...     plan=plan, toys_needed=100, toys_done=0, run_length=10.0, warning_run_length=5.0, batches=0, batches_done=0,
    ...     generation=1, asked_at=0.0)
    >>> words(CalibrationStatus(calibration=one, trainers=0)), words(CalibrationStatus(calibration=one, trainers=2))
    ('waiting for a trainer: none is alive', 'timing the first toy')
    """
    one = status.calibration
    if one.state != "running":
        return one.state
    if not status.trainers:
        return "waiting for a trainer: none is alive"
    if not one.batches:
        return "timing the first toy"
    return "reducing" if one.batches_done == one.batches else "toys"
