"""Processes that do the parts of a closure beside each other, at most one for each core."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")


class Workers:
    """Some processes; with one, this one.

    Parameters
    ----------
    jobs:
        Their number.

    Examples
    --------
    >>> Workers(1).run([lambda: 1, lambda: 2])
    [1, 2]
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def run(
        self,
        parts: Sequence[Callable[[], Result]],
        done: Callable[[int, int], None] = lambda _k, _total: None,
    ) -> list[Result]:
        """Do all parts; their results in the order of the parts.

        Parameters
        ----------
        parts:
            What to do; beside each other they must be picklable.
        done:
            Called with the numbers of parts done and to do.
        """
        results: dict[int, Any] = {}
        if self._jobs == 1 or len(parts) == 1:
            for k, part in enumerate(parts):
                results[k] = part()
                done(len(results), len(parts))
            return [results[k] for k in range(len(parts))]
        # Forked, torch's threads would be missing in the child.
        with ProcessPoolExecutor(self._jobs, mp_context=get_context("spawn"), initializer=_alone) as pool:
            futures = {pool.submit(part): k for k, part in enumerate(parts)}
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                done(len(results), len(parts))
        return [results[k] for k in range(len(parts))]


def _alone() -> None:
    """Let each process use one core."""
    torch.set_num_threads(1)


def cores() -> int:
    """Give the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))
