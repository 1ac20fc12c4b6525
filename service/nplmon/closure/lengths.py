"""Run length: how many ordinary chunks pass until an alarm, beside what was asked for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

from nplmon.closure.study import Check, Study
from nplmon.nplm import Calibration
from nplmon.nplm.null_table import NullTable
from nplmon.nplm.preparation import prepare
from nplmon.simulators import expo

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from nplmon.closure.workers import Workers
    from nplmon.nplm.basis import Basis

RUN_LENGTH: Final = 200
REFERENCE: Final = 20_000
SIZE: Final = 200
LONGEST: Final = 20 * RUN_LENGTH
BLOCK: Final = 100
LOW, HIGH = 160.0, 250.0
"""Between these the mean must lie; that of 300 geometric run lengths has an error of 12."""
BATCH: Final = 20


def streams(first: int, count: int, seed: int, limits: NDArray[np.float64]) -> NDArray[np.int64]:
    """Follow streams of ordinary EXPO-1D chunks, each with its own reference, until they alarm.

    t_score is a function of sums over events alone, so that no chunk is fitted.

    Parameters
    ----------
    first, count:
        The streams' numbers; each is seeded by its own.
    seed:
        The seed of all.
    limits:
        log p at or below which there is an alarm after chunk 1, 2, ..., float64 (n,); a stream ends there.

    Returns
    -------
    NDArray[np.int64]
        The chunk of the alarm, or n + 1, (count,).
    """
    return np.array([_stream(np.random.default_rng([seed, k]), limits) for k in range(first, first + count)])


def basis_of(rng: np.random.Generator) -> Basis:
    """Prepare a reference drawn from EXPO-1D."""
    return prepare(expo.sample(rng, REFERENCE), centres=60, sigma=0.7, lambda_=4 / REFERENCE)


def _stream(rng: np.random.Generator, limits: NDArray[np.float64]) -> int:
    basis = basis_of(rng)
    h = basis.shrinkage(SIZE)
    weights = (2 * h - h**2) / basis.second_moment
    table = NullTable(basis, "shape", float(SIZE))
    score = np.zeros(basis.size)
    for first in range(0, limits.size, BLOCK):
        last = min(first + BLOCK, limits.size)
        psi = basis.features(expo.sample(rng, (last - first) * SIZE)).reshape(last - first, SIZE, -1)
        scores = score + np.cumsum(psi.sum(axis=1, dtype=np.float64) - SIZE * basis.mean_feature, axis=0)
        score = scores[-1]
        n = np.arange(first + 1.0, last + 1)
        t = scores**2 @ weights / (n * SIZE)
        reached = table.log_p("t_score", t, n, np.array(float(SIZE))) <= limits[first:last]
        if reached.any():
            return first + int(reached.argmax()) + 1
    return limits.size + 1


def run_lengths(count: int, seed: int, workers: Workers, tell: Callable[[str, int, int], None]) -> Study:
    """Measure the run length of t_score with closed-form thresholds.

    Parameters
    ----------
    count:
        Streams.
    seed, workers, tell:
        As for the other studies.
    """
    calibration = Calibration.closed_form(
        [basis_of(np.random.default_rng([seed, 10**9]))],
        "shape",
        float(SIZE),
        run_length=RUN_LENGTH,
        warning_run_length=RUN_LENGTH / 10,
        seed=seed,
    )
    limits = np.array([calibration.alarm("t_score", n) for n in range(1, LONGEST + 1)])
    parts = [
        partial(streams, first, min(BATCH, count - first), seed, limits) for first in range(0, count, BATCH)
    ]
    done = workers.run(parts, partial(tell, "run lengths"))
    lengths = np.sort(np.concatenate(done))
    error = float(lengths.std(ddof=1) / count**0.5)
    checks = [
        Check(
            what=f"mean run length of {count} streams, {RUN_LENGTH} asked for (+- {error:.0f})",
            value=float(lengths.mean()),
            low=LOW,
            high=HIGH,
            expected=1.0,
        )
    ]
    for chunk in (RUN_LENGTH // 10, round(RUN_LENGTH * np.log(2)), 2 * RUN_LENGTH):
        share = 1 - (1 - 1 / RUN_LENGTH) ** chunk
        low, high = stats.binom.interval(0.99, count, share)
        # The thresholds' own toys move the hazard by a few per cent.
        margin = 0.02 * count
        checks.append(
            Check(
                what=f"streams of {count} that have alarmed after {chunk} chunks",
                value=float(np.count_nonzero(lengths <= chunk)),
                low=float(low) - margin,
                high=float(high) + margin,
                expected=0.99,
            )
        )
    return Study(
        name="run-length",
        title="Run length",
        text=(
            f"Streams of ordinary EXPO-1D chunks of {SIZE} events, each with its own reference of {REFERENCE:,}, are "
            f"followed until t_score alarms, with closed-form thresholds for {RUN_LENGTH} chunks between false alarms."
        ),
        checks=checks,
        data={
            "run_length": RUN_LENGTH,
            "mean": float(lengths.mean()),
            "error": error,
            "chunks": lengths.tolist(),
        },
        figures={"run-length": partial(_draw, lengths)},
    )


def _draw(lengths: NDArray[np.int64]) -> Figure:
    from nplmon.closure.figures import run_length_figure  # noqa: PLC0415 (needs matplotlib)

    return run_length_figure(lengths, RUN_LENGTH)
