"""E-processes on a small reference: the two-sample form keeps its promise, which one that trusts it does not."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

from nplmon.closure.study import Check, Study
from nplmon.nplm import EProcess
from nplmon.nplm.preparation import prepare
from nplmon.simulators import expo

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from nplmon.closure.workers import Workers

REFERENCE: Final = 5_000
EVENTS: Final = 100
CHUNKS: Final = 100
ON_EACH: Final = 50
"""Streams on one reference."""
LEVELS: Final = (20.0, 100.0)
RUN_LENGTHS: Final = (20.0, 50.0)
FORMS: Final = ("multinomial", "two-sample")


def streams(number: int, count: int, seed: int) -> NDArray[np.float64]:
    """Follow ordinary streams on one reference; a chunk's model is one Newton step, which any e-process may use.

    Returns
    -------
    NDArray[np.float64]
        Logs of E, S and M of both forms after each chunk, (form, 3, count, chunks).
    """
    rng = np.random.default_rng([seed, number])
    basis = prepare(expo.sample(rng, REFERENCE), centres=100, sigma=0.7, lambda_=1e-3)
    features = basis.features(expo.sample(np.random.default_rng([seed, number]), REFERENCE))
    curvature = EVENTS * basis.second_moment + basis.penalty(EVENTS)
    logs = np.empty((len(FORMS), 3, count, CHUNKS))
    for stream in range(count):
        chunks = expo.sample(rng, CHUNKS * EVENTS).reshape(CHUNKS, EVENTS, 1)
        psi = basis.features(chunks.reshape(-1, 1)).reshape(CHUNKS, EVENTS, -1)
        models = (psi.sum(axis=1, dtype=np.float64) - EVENTS * basis.mean_feature) / curvature
        pool = expo.sample(rng, 3 * CHUNKS * EVENTS)
        process = EProcess(basis, features, None, "shape", chunk_share=1 / 3, model_cap=8)
        for k in range(CHUNKS):
            process.apply(models[k], EVENTS, chunks[k], pool[process.pool_used :], rng)
            for form, one in enumerate((process.poisson, process.two_sample)):
                logs[form, :, stream, k] = one.log_e, one.log_sr, one.log_cusum
    return logs


def evidence(count: int, seed: int, workers: Workers, tell: Callable[[str, int, int], None]) -> Study:
    """Count crossings and run lengths of e-processes; arguments as for the other studies."""
    parts = [
        partial(streams, number, min(ON_EACH, count - number * ON_EACH), seed)
        for number in range(-(-count // ON_EACH))
    ]
    logs = np.concatenate(workers.run(parts, partial(tell, "e-processes")), axis=2)
    checks = []
    for form, found in zip(FORMS, logs, strict=True):
        exact = form == "two-sample"
        checks += [
            Check(
                what=f"{form} form: streams of {count:,} in which E reaches {level:g}",
                value=float(np.count_nonzero(found[0].max(axis=1) >= math.log(level))),
                low=0.0,
                high=float(stats.binom.ppf(0.99, count, 1 / level)),
                expected=0.99,
                promised=exact,
            )
            for level in LEVELS
        ]
        for name, log in (("e-SR", found[1]), ("e-CUSUM", found[2])):
            for level in RUN_LENGTHS:
                alarm = log >= math.log(level)
                lengths = np.where(alarm.any(axis=1), alarm.argmax(axis=1) + 1, CHUNKS)
                error = 2.33 * float(lengths.std()) / count**0.5
                checks.append(
                    Check(
                        what=f"{form} form: mean run length of {name} at {level:g} (streams end at {CHUNKS})",
                        value=float(lengths.mean()),
                        low=level - error,
                        high=math.inf,
                        expected=0.99,
                        promised=exact,
                    )
                )
    peaks = np.sort(logs[:, 0].max(axis=2), axis=1)
    return Study(
        name="e-process",
        title="E-processes on a reference of 5,000 events",
        text=(
            f"Streams of {CHUNKS} ordinary EXPO-1D chunks of {EVENTS} events, {ON_EACH} on each reference of "
            f"{REFERENCE:,}: exposure {CHUNKS * EVENTS / REFERENCE:g} at the end. The two-sample form is exact for any "
            "reference; the multinomial form takes the reference's own fluctuation for a difference."
        ),
        checks=checks,
        data={form: {"largest_log_e": peaks[k].tolist()} for k, form in enumerate(FORMS)},
        figures={"e-process": partial(_draw, peaks)},
    )


def _draw(peaks: NDArray[np.float64]) -> Figure:
    from nplmon.closure.figures import evidence_figure  # noqa: PLC0415 (needs matplotlib)

    return evidence_figure(dict(zip(FORMS, peaks, strict=True)))
