"""Pace: how many chunks a process ended per second lately."""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 60.0


class Pace:
    """Chunks per second over the last minute, or since the start where that is later.

    The count is noted with each sign of life, so the window is as long as a minute to within their distance.

    Examples
    --------
    >>> pace = Pace()
    >>> [pace.per_second(at, chunks) for at, chunks in [(0.0, 0), (10.0, 20), (70.0, 20), (131.0, 20)]]
    [None, 2.0, 0.0, 0.0]
    """

    def __init__(self) -> None:
        self._noted: deque[tuple[float, int]] = deque()

    def per_second(self, at: float, chunks: int) -> float | None:
        """Note the number of chunks ended so far, and give the pace; None at the first sign of life.

        Parameters
        ----------
        at
            In s, by a clock that never goes back.
        """
        self._noted.append((at, chunks))
        while at - self._noted[0][0] > WINDOW_SECONDS and len(self._noted) > 2:
            self._noted.popleft()
        since, before = self._noted[0]
        return (chunks - before) / (at - since) if at > since else None
