"""The density ratio: as stored, and evaluated at points against the formula."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
from tests.api.bodies import NPY, Push, check_problem, events, npy
from tests.api.workers import Workers

from nplmon.broker import Broker
from nplmon.broker.findings import FeatureRatio
from nplmon.nplm.basis import Basis, basis_keys
from nplmon.nplm.preparation import prepare
from nplmon.nplm.ratio import AveragedRatio

pytestmark = pytest.mark.anyio

PATH = "/v1/monitors/m/density-ratio"
POINTS = events(50, seed=11)


@pytest.fixture
async def basis(broker: Broker, monitor: dict[str, Any]) -> Basis:
    """Prepare the monitor's eigenbasis, as the first trainer does."""
    basis = prepare(events(500, seed=0), centres=20)
    keys = basis_keys(("pt", "eta"), 20, 1e-5, (), (0.25, 0.5, 0.75), 0)
    await broker.references.put_basis(monitor["reference_hash"], keys[0], basis.to_bytes())
    return basis


@pytest.fixture
def models(basis: Basis, workers: Workers) -> np.ndarray:
    """Give the coefficients (n, r) that the chunks get."""
    coefficients = np.random.default_rng(2).normal(scale=0.1, size=(3, basis.size))
    workers.coefficients = lambda sequence: coefficients[sequence - 1]
    return coefficients


async def evaluate(client: httpx.AsyncClient, points: np.ndarray = POINTS, **query: str) -> httpx.Response:
    return await client.post(PATH, content=npy(points), params=query, headers={"Content-Type": NPY})


async def test_by_feature(client: httpx.AsyncClient, push: Push, workers: Workers) -> None:
    feature = FeatureRatio(
        name="pt",
        unit="GeV",
        edges=(0.0, 1.0),
        data=(1.0,),
        reference=(2.0,),
        reference_error=(0.1,),
        learned=(1.1,),
        shift=0.0,
        shift_error=0.1,
    )
    await push()
    check_problem(await client.get(PATH), 404, "no-statistic", "run")
    await workers.finish()
    await workers.apply(features=(feature,))
    answer = (await client.get(PATH)).json()
    assert (answer["monitor"], answer["run"], answer["sequence"], answer["form"]) == ("m", "r", 1, "mixture")
    assert answer["features"][0]["learned"] == [1.1]


@pytest.mark.parametrize("mode", ["shape", "rate"])
async def test_mixture_at_points(
    client: httpx.AsyncClient, push: Push, workers: Workers, basis: Basis, models: np.ndarray, mode: str
) -> None:
    """rbar(x) = sum_k lam_k e^{f_k(x)} / sum_k lam_k / normalisation, with lam_k = N_k or rate * exposure_k."""
    if mode == "rate":
        await client.patch("/v1/monitors/m", json={"mode": "rate", "rate": 7.0})
    sizes, exposures = [10, 30, 60], [3.0, 1.0, 2.0]
    for seed, (size, exposure) in enumerate(zip(sizes, exposures, strict=True)):
        assert (await push(npy(events(size, seed)), exposure=str(exposure))).status_code == 202
    await workers.finish()
    await workers.apply(log_normalisation=0.25)
    lam = np.array(sizes if mode == "shape" else exposures)
    f = basis.features(POINTS).astype(float) @ models.T
    expected = np.log(np.exp(f) @ lam / lam.sum()) - 0.25
    answer = await evaluate(client)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["sequence"], body["form"]) == (3, "mixture")
    np.testing.assert_allclose(body["log_ratio"], expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(body["ratio"], np.exp(expected), rtol=1e-12)
    columns = await evaluate(client, POINTS[:, ::-1], features="eta,pt")
    assert columns.json() == body


async def test_projection_at_points(
    client: httpx.AsyncClient, push: Push, workers: Workers, basis: Basis, broker: Broker
) -> None:
    ratio = AveragedRatio(
        coefficients=np.linspace(-1, 1, basis.size)[None, :],
        log_weights=np.empty(0),
        log_normalisation=0.5,
        basis=basis.digest,
    )
    await push()
    workers.coefficients = lambda _: np.zeros(basis.size)
    await workers.finish()
    await workers.apply(ratio_form="projection", projection=ratio.to_bytes())
    body = (await evaluate(client)).json()
    assert body["form"] == "projection"
    np.testing.assert_allclose(body["log_ratio"], ratio.log_ratio(basis, POINTS), rtol=1e-12)


async def test_the_ratio_is_that_of_the_width_that_wins(
    client: httpx.AsyncClient, push: Push, workers: Workers, broker: Broker, monitor: dict[str, Any]
) -> None:
    """Coefficients of one width in the eigenbasis of another would give numbers that look like a ratio."""
    bases = [prepare(events(500, seed=0), centres=20, sigma_quantile=quantile) for quantile in (0.25, 0.5)]
    keys = basis_keys(("pt", "eta"), 20, 1e-5, (), (0.25, 0.5, 0.75), 0)
    for key, basis in zip(keys, bases, strict=False):
        await broker.references.put_basis(monitor["reference_hash"], key, basis.to_bytes())
    models = [np.full(basis.size, 0.1 * i) for i, basis in enumerate(bases, 1)]
    await push()
    workers.models = lambda _: models
    await workers.finish()
    sigmas = tuple(basis.sigma for basis in bases)
    await workers.apply(sigmas=sigmas, winner=1)
    body = (await evaluate(client)).json()
    assert body["width"] == sigmas[1]
    expected = bases[1].features(POINTS).astype(float) @ models[1]
    np.testing.assert_allclose(body["log_ratio"], expected, rtol=1e-12, atol=1e-12)
    assert (await client.get(PATH)).json()["width"] == sigmas[1]


async def test_a_projection_of_another_width_is_not_evaluated(
    client: httpx.AsyncClient, push: Push, workers: Workers, basis: Basis
) -> None:
    """The aggregator wrote it after the snapshot was read, and another width had won by then."""
    ratio = AveragedRatio(
        coefficients=np.ones((1, basis.size)), log_weights=np.empty(0), basis="that of another width"
    )
    await push()
    await workers.finish()
    await workers.apply(ratio_form="projection", projection=ratio.to_bytes())
    check_problem(await evaluate(client), 404, "no-statistic", "run")


async def test_many_points_are_evaluated_in_blocks(
    client: httpx.AsyncClient,
    push: Push,
    workers: Workers,
    basis: Basis,
    models: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await push()
    await workers.finish()
    await workers.apply()
    whole = (await evaluate(client)).json()
    monkeypatch.setattr("nplmon.api.ratios.BLOCK", 7)
    in_blocks = (await evaluate(client)).json()
    np.testing.assert_allclose(in_blocks["log_ratio"], whole["log_ratio"], rtol=1e-9, atol=1e-12)


async def test_nothing_to_evaluate_yet(
    client: httpx.AsyncClient, push: Push, workers: Workers, models: np.ndarray
) -> None:
    check_problem(await evaluate(client), 404, "unknown-run", "run")
    await push()
    check_problem(await evaluate(client), 404, "no-statistic", "run")


async def test_basis_not_prepared(client: httpx.AsyncClient, push: Push, workers: Workers) -> None:
    await push()
    await workers.finish()
    await workers.apply()
    check_problem(await evaluate(client), 404, "no-statistic", "run")


async def test_models_that_vanish_under_the_reader(
    client: httpx.AsyncClient, push: Push, workers: Workers, basis: Basis, models: np.ndarray, broker: Broker
) -> None:
    """Fewer models than the snapshot counts would give a wrong ratio: none is given."""
    await push()
    await workers.finish()
    await workers.apply(drop_fits=[1])
    check_problem(await evaluate(client), 404, "no-statistic", "run")


async def test_points_are_checked(client: httpx.AsyncClient, push: Push) -> None:
    await push()
    check_problem(await evaluate(client, events(5, features=3)), 422, "shape")
    check_problem(await client.post(PATH, content=b"x"), 415, "content-type")
    body = {"events": [[1, 2]], "id": "c"}
    check_problem(await client.post(PATH, json=body), 422, "settings")
    check_problem(await client.post(PATH, json={"events": [[1, 2]]}), 404, "no-statistic")
