"""Toys against the closed-form null: every statistic, both modes, equal and unequal chunks, small and large exposure.

Two-dimensional Gaussian events, chosen with a penalty that leaves about five effective degrees of freedom, so that
hundreds of events per chunk put the fit in the quadratic regime in which the closed form holds. What is left of higher
orders is a few per cent of the mean (it falls with the chunk size); the intervals allow 4 % for it.

One reference is one draw of its sampling error, and shifts all its toys by about exposure x deviation: with an exposure
of 0.03 that is far below what 160 toys resolve; at 0.5 each toy has its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.basis import Basis
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.null import ChiSquareSum, Mode
from nplmon.nplm.preparation import prepare
from nplmon.nplm.reference import Reference

pytestmark = pytest.mark.slow

KINDS = ("t_chunk", "t_agg", "t_ref", "t_score", "t_sum")
HIGHER_ORDERS = 0.04


class Setting(NamedTuple):
    """A run that is repeated; `redraw` takes a new reference for each toy."""

    reference: int
    sizes: tuple[int, ...]
    toys: int
    redraw: bool
    seed: int


class Toys(NamedTuple):
    """Values and p-values of each statistic, and the null of the last toy."""

    setting: Setting
    values: dict[str, NDArray[np.float64]]
    p_values: dict[str, NDArray[np.float64]]
    nulls: dict[str, ChiSquareSum]
    exposure: float


SETTINGS = {
    "equal": Setting(16_000, (250, 250), 160, redraw=False, seed=21),
    "factor 5": Setting(16_000, (100, 500), 160, redraw=False, seed=22),
    "exposure 0.5": Setting(3_000, (500, 500, 500), 200, redraw=True, seed=23),
}


def draw(rng: np.random.Generator, events: int) -> tuple[Basis, NDArray[np.float32], KernelModel]:
    reference = rng.normal(size=(events, 2))
    basis = prepare(reference, centres=100, sigma=3.0, lambda_=3e-4)
    features = basis.features(reference)
    return basis, features, KernelModel(Reference(reference), basis, features)


@pytest.fixture(
    scope="module",
    params=[(mode, name) for mode in ("shape", "rate") for name in SETTINGS],
    ids=lambda param: f"{param[0]}, {param[1]}",
)
def toys(request: pytest.FixtureRequest) -> Toys:
    mode: Mode = request.param[0]
    setting = SETTINGS[request.param[1]]
    rng = np.random.default_rng(setting.seed)
    basis, features, prepared = draw(rng, setting.reference)
    found = []
    for _ in range(setting.toys):
        if setting.redraw:
            basis, features, prepared = draw(rng, setting.reference)
        run = Aggregation(basis, features, None, mode, event_cap=10**6)
        for size in setting.sizes:
            events = rng.normal(size=(size if mode == "shape" else rng.poisson(size), 2))
            fitted = prepared.fit(events, float(size))
            run.apply(fitted.coefficients, fitted.score, fitted.statistic, float(size), events)
        found.append(run.statistics())
    return Toys(
        setting,
        {kind: np.array([toy[kind].value for toy in found]) for kind in KINDS},
        {kind: np.array([toy[kind].null.tail(toy[kind].value) for toy in found]) for kind in KINDS},
        {kind: found[-1][kind].null for kind in KINDS},
        run.exposure_ratio,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean(toys: Toys, kind: str):
    """Within 4 standard errors and the higher orders; one reference shifts all its toys by exposure x deviation."""
    values, null = toys.values[kind], toys.nulls[kind]
    shared = 0.0 if toys.setting.redraw else toys.exposure
    error = null.deviation * np.sqrt(1 / values.size + shared**2)

    assert abs(values.mean() - null.mean) < 4 * error + HIGHER_ORDERS * null.mean


@pytest.mark.parametrize("kind", KINDS)
def test_the_deviation(toys: Toys, kind: str):
    """Within 4 standard errors, from the null's own fourth moment, and twice the higher orders."""
    values, null = toys.values[kind], toys.nulls[kind]
    second, fourth = (float(null.degrees @ null.weights**power) for power in (2, 4))
    relative_error = np.sqrt((2 + 12 * fourth / second**2) / (4 * values.size))

    assert abs(values.std() / null.deviation - 1) < 4 * relative_error + 2 * HIGHER_ORDERS


@pytest.mark.parametrize("kind", KINDS)
def test_the_p_values_are_uniform(toys: Toys, kind: str):
    assert stats.kstest(toys.p_values[kind], "uniform").pvalue > 0.01
