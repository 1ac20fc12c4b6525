"""Toys: what is replayed is what a monitor computes, each toy by its number alone, from events that are there once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.errors import FitError, StateError
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.null import Mode
from nplmon.nplm.null_table import NullTable
from nplmon.nplm.reference import Reference
from nplmon.nplm.toys import KINDS, ToyPlan, Trajectories, _Draws, replay

PLAN = ToyPlan(mode="shape", source="fixed-reference", chunks=8, events=300.0, seed=3, kept_events=1_600)


def exponential(seed: int, events: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).exponential(size=(events, 1)).astype(np.float32)


def prepared(reference: Reference, seed: int = 0) -> list[KernelModel]:
    return [
        KernelModel.prepare(reference, centres=100, sigma=sigma, lambda_=1e-5, seed=seed)
        for sigma in (0.5, 1.5)
    ]


@pytest.fixture(scope="module")
def models() -> list[KernelModel]:
    return prepared(Reference(exponential(1, 20_000)))


@pytest.fixture(scope="module")
def pool() -> NDArray[np.float32]:
    return exponential(2, 30_000)


def in_service(
    model: KernelModel, plan: ToyPlan, chunks: list[NDArray[np.floating]]
) -> list[dict[str, tuple[float, float] | None]]:
    """Give value and log p of each statistic after each chunk, as the aggregator computes them."""
    run = Aggregation(model.basis, model.features, model.reference.weights, plan.mode, plan.kept_events)
    after = []
    for events in chunks:
        expected = float(len(events)) if plan.mode == "shape" else plan.events
        fit = model.fit(events, expected)
        run.apply(fit.coefficients, fit.score, fit.statistic, expected, events)
        after.append(
            {kind: None if one.frozen else (one.value, one.log_p) for kind, one in run.statistics().items()}
        )
    return after


@pytest.mark.parametrize("mode", ["shape", "rate"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_toy_is_what_a_monitor_computes(pool: NDArray[np.float32], mode: Mode, weighted: bool):
    """Values to 1e-4, what fits may leave open; log p to 0.02, of which the table's shares are the most.

    t_agg ends where the run has more events than are kept. Nulls for another number of chunks, an excess that is not
    taken off, a score of the wrong chunk, or a normalisation left out fail here.
    """
    weights = np.random.default_rng(4).uniform(0.2, 1.8, size=20_000) if weighted else None
    model = prepared(Reference(exponential(1, 20_000), weights))[0]
    plan = dataclasses.replace(PLAN, mode=mode)
    toys = replay([model], pool, plan, first=5, count=2)
    draws = _Draws(model.reference.events, pool, plan)
    seen = set()
    for k, number in enumerate((5, 6)):
        for n, expected in enumerate(in_service(model, plan, draws.fixed(number))):
            for kind, one in expected.items():
                if one is None:
                    assert np.isnan(toys.values[kind][k, n, 0])
                    assert np.isnan(toys.log_p[kind][k, n, 0])
                    continue
                seen.add((kind, n))
                assert toys.values[kind][k, n, 0] == pytest.approx(one[0], rel=1e-4, abs=1e-4)
                assert toys.log_p[kind][k, n, 0] == pytest.approx(one[1], abs=0.02)
    assert ("t_agg", 3) in seen
    assert ("t_agg", 7) not in seen
    assert ("t_sum", 7) in seen


def test_any_batches_give_the_same(models: list[KernelModel], pool: NDArray[np.float32]):
    """Toys 2 to 6, at once and in batches of other sizes: to what the fits leave open."""
    whole = replay(models, pool, PLAN, first=2, count=5)
    parts = [
        replay(models, pool, PLAN, first=first, count=count) for first, count in ((6, 1), (2, 1), (3, 3))
    ]
    again = Trajectories.concatenate(parts)

    assert again.numbers.tolist() == [2, 3, 4, 5, 6]
    assert again.plan == PLAN.digest
    for kind in KINDS:
        np.testing.assert_allclose(again.values[kind], whole.values[kind], rtol=1e-3)
    # Each toy is another one.
    assert len(np.unique(whole.values["t_score"][:, 0, 0].round(6))) == 5


def test_the_score_needs_no_fit(
    models: list[KernelModel], pool: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
):
    with_fits = replay(models, pool, PLAN, first=0, count=2)
    monkeypatch.setattr(KernelModel, "fit_together", None)
    alone = replay(models, pool, dataclasses.replace(PLAN, kinds=("t_score",)), first=0, count=2)

    assert list(alone.values) == ["t_score"]
    np.testing.assert_array_equal(alone.values["t_score"], with_fits.values["t_score"])


def test_no_event_twice_and_poisson_counts():
    """Of 400 toys of 3 chunks the counts have mean and variance 20, within four standard errors."""
    reference = np.arange(1_000, dtype=np.float32)[:, None]
    pool = np.arange(1_000, 1_200, dtype=np.float32)[:, None]
    plan = ToyPlan(mode="shape", source="disjoint", chunks=3, events=20.0, seed=1)
    draws = _Draws(reference, pool, plan)
    counts, exchanged = [], 0
    for number in range(400):
        fixed = np.concatenate(draws.fixed(number))
        assert len(np.unique(fixed)) == len(fixed)
        assert fixed.min() >= 1_000
        own, chunks = draws.disjoint(number)
        together = np.concatenate([own.events, *chunks])
        assert len(own.events) == 1_000
        assert len(np.unique(together)) == len(together)
        exchanged += int(np.count_nonzero(own.events >= 1_000))
        counts += [len(chunk) for chunk in chunks]
    assert [len(chunk) for chunk in draws.fixed(399)] == counts[-3:]
    size = len(counts)
    assert abs(np.mean(counts) - 20) < 4 * (20 / size) ** 0.5
    assert abs(np.var(counts) - 20) < 4 * 20 * (2.05 / size) ** 0.5
    # Each reference has its share of the pool's events, 1 in 6.
    assert exchanged / 400 == pytest.approx(1_000 * 200 / 1_200, rel=0.05)


def test_disjoint_toys_prepare_their_own_reference(models: list[KernelModel], pool: NDArray[np.float32]):
    """Another reference, standardisation and centres for each toy, as `in_service` has them."""
    plan = dataclasses.replace(PLAN, source="disjoint", chunks=2)
    seeds: list[int] = []

    def prepare(reference: Reference, seed: int) -> list[KernelModel]:
        seeds.append(seed)
        return prepared(reference, seed)

    steps: list[tuple[int, int]] = []
    toys = replay(
        models, pool, plan, first=4, count=2, prepare=prepare, progress=lambda *step: steps.append(step)
    )
    own, chunks = _Draws(models[0].reference.events, pool, plan).disjoint(5)

    assert seeds == [4, 5]
    assert steps == [(1, 2), (2, 2)]
    for width, model in enumerate(prepared(own, 5)):
        for n, expected in enumerate(in_service(model, plan, chunks)):
            for kind, one in expected.items():
                assert one is not None
                assert toys.values[kind][1, n, width] == pytest.approx(one[0], rel=1e-4, abs=1e-4)
                assert toys.log_p[kind][1, n, width] == pytest.approx(one[1], abs=0.02)


@pytest.mark.parametrize("mode", ["shape", "rate"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_table_of_many_chunks(models: list[KernelModel], mode: Mode, kind: str):
    """1 to 300 chunks (exposure 4.5), in the bulk and far out, beside the null: to 0.03 or 0.5 % in log p."""
    basis, size = models[0].basis, 310.0 if mode == "shape" else 300.0
    table = NullTable(basis, mode, 300.0)
    for n in (1, 2, 7, 40, 300):
        null = table.null(kind, 1 if kind == "t_chunk" else n, size)
        t = null.mean + null.deviation * np.array([-2.0, -1.0, 0.5, 3.0, 8.0, 20.0])
        found = table.log_p(kind, t, np.full(6, float(n)), np.full(6, size))
        np.testing.assert_allclose(found, [null.log_tail(x) for x in t.tolist()], atol=0.03, rtol=5e-3)


def test_what_cannot_be_replayed_is_refused(models: list[KernelModel], pool: NDArray[np.float32]):
    weighted = prepared(Reference(exponential(1, 2_000), np.full(2_000, 0.5)))
    disjoint = dataclasses.replace(PLAN, source="disjoint")
    bad = pool.copy()
    bad[7] = np.nan
    for arguments, message in (
        (([], pool, PLAN, 0, 1), "no models"),
        (([models[0], weighted[0]], pool, PLAN, 0, 1), "different references"),
        ((models, pool, PLAN, 0, 0), "at least one"),
        ((models, pool, PLAN, -1, 1), "from number -1"),
        ((models, pool[:, [0, 0]], PLAN, 0, 1), r"give \(P, 1\)"),
        ((models, bad, PLAN, 0, 1), "not finite"),
        (
            (models, pool[:2_500], PLAN, 0, 1),
            "2,500 events in the pool, .* 8 chunks of 300 events needs 2,694",
        ),
        ((models, pool, disjoint, 0, 1), "give `prepare`"),
    ):
        with pytest.raises(ValueError, match=message):
            replay(*arguments)
    with pytest.raises(ValueError, match="exchangeable"):
        replay(weighted, pool, disjoint, 0, 1, prepare=prepared)


def test_a_fit_that_fails_names_its_toys(
    models: list[KernelModel], pool: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise FitError("chunk 3: no minimum")

    monkeypatch.setattr(KernelModel, "fit_together", fail)
    with pytest.raises(FitError, match="toys 10 to 12: chunk 3"):
        replay(models, pool, PLAN, first=10, count=3)


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "counts"},
        {"source": "bootstrap"},
        {"chunks": 0},
        {"events": 0.5},
        {"events": float("nan")},
        {"events": float("inf")},
        {"seed": -1},
        {"kinds": ()},
        {"kinds": ("t_full",)},
        {"kinds": ("t_agg", "t_agg")},
        {"kept_events": -1},
    ],
)
def test_plans_that_are_none_are_refused(change: dict[str, object]):
    with pytest.raises(ValueError, match="give"):
        dataclasses.replace(PLAN, **change)


def test_the_digest_is_that_of_every_field():
    """A field that is left out of it would let toys of another plan pass for these."""
    others = [
        {"mode": "rate"},
        {"source": "disjoint"},
        {"chunks": 9},
        {"events": 301.0},
        {"seed": 4},
        {"kinds": ("t_score",)},
        {"kept_events": 1},
    ]
    assert {key for one in others for key in one} == {field.name for field in dataclasses.fields(ToyPlan)}
    digests = {dataclasses.replace(PLAN, **change).digest for change in others}
    assert len(digests | {PLAN.digest}) == len(others) + 1
    assert dataclasses.replace(PLAN, kinds=list(KINDS)).digest == PLAN.digest


def test_batches_that_do_not_belong_together_are_refused(
    models: list[KernelModel], pool: NDArray[np.float32]
):
    plan = dataclasses.replace(PLAN, kinds=("t_score",))
    one = replay(models, pool, plan, 0, 2)
    other = replay(models, pool, dataclasses.replace(plan, seed=9), 2, 2)

    with pytest.raises(ValueError, match="different plans"):
        Trajectories.concatenate([one, other])
    with pytest.raises(ValueError, match="toy 0 is there twice"):
        Trajectories.concatenate([one, one])
    with pytest.raises(ValueError, match="no toys"):
        Trajectories.concatenate([])
    body = one.to_bytes()
    np.testing.assert_array_equal(Trajectories.from_bytes(body).log_p["t_score"], one.log_p["t_score"])
    with pytest.raises(StateError, match="checksum"):
        Trajectories.from_bytes(body[:-1])
    with pytest.raises(ValueError, match="give values and log_p of one shape"):
        dataclasses.replace(one, values={})
