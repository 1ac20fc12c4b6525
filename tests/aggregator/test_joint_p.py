"""The p-value over several kernel widths as a monitor gives it, under H0."""

from __future__ import annotations

import numpy as np
from scipy import stats
from tests.aggregator.samples import a_receipt

from nplmon.aggregator.widths import Widths
from nplmon.broker.messages import Fit, WidthFit
from nplmon.nplm.calibration import Calibration
from nplmon.nplm.level_process import cross_moments
from nplmon.nplm.preparation import prepare
from nplmon.nplm.reference import Reference
from nplmon.prepared import Prepared, PreparedWidth

SIGMAS = (0.3, 0.8, 2.0)
SIZE, CHUNKS, RUNS, REFERENCES = 200, 3, 60, 5


def ready(events: np.ndarray) -> Prepared:
    """Prepare a reference with all widths."""
    bases = [prepare(events, centres=60, lambda_=1e-4, sigma=sigma) for sigma in SIGMAS]
    widths = tuple(PreparedWidth(f"w{basis.sigma}", basis, basis.features(events)) for basis in bases)
    return Prepared(Reference(events), widths)


def unfitted(prepared: Prepared, events: np.ndarray) -> Fit:
    """Give the scores of a chunk, which are all that t_score needs."""
    widths = []
    for width in prepared.widths:
        basis = width.basis
        score = basis.features(events).sum(axis=0, dtype=np.float64) - len(events) * basis.mean_feature
        none = np.zeros(basis.size)
        widths.append(
            WidthFit(
                coefficients=none.tobytes(), score=score.tobytes(), t_chunk=0.0, iterations=0, decrement=0.0
            )
        )
    return Fit(
        receipt=a_receipt(1, len(events)),
        widths=tuple(widths),
        fit_seconds=0.0,
        trainer="t",
        device="cpu",
        finished_at=0.0,
    )


def test_the_joint_p_of_real_events_is_uniform() -> None:
    """300 runs of three chunks of exponential events, 60 on each of five references, three widths.

    Kolmogorov-Smirnov p above 0.01, and the counts below 0.2 and 0.05 inside their binomial 99 % intervals. The
    smallest p itself is far from uniform.
    """
    rng = np.random.default_rng(11)
    joint, smallest = [], []
    for _ in range(REFERENCES):
        prepared = ready(rng.exponential(size=(8_000, 1)).astype(np.float32))
        calibration = Calibration.closed_form(
            [width.basis for width in prepared.widths],
            "shape",
            float(SIZE),
            run_length=20,
            warning_run_length=10,
            moments=cross_moments([width.features for width in prepared.widths], prepared.reference.v),
        )
        for _ in range(RUNS):
            run = Widths(prepared, "shape", 0)
            for _ in range(CHUNKS):
                events = rng.exponential(size=(SIZE, 1)).astype(np.float32)
                run.apply(unfitted(prepared, events), float(SIZE), events)
            found = run.statistics()["t_score"].smallest
            assert found is not None
            smallest.append(np.exp(found))
            joint.append(np.exp(calibration.p("t_score", CHUNKS, found).log_p))
    assert stats.kstest(joint, "uniform").pvalue > 0.01
    for level in (0.2, 0.05):
        few, many = stats.binom.interval(0.99, len(joint), level)
        assert few <= np.count_nonzero(np.array(joint) <= level) <= many
    assert stats.kstest(smallest, "uniform").pvalue < 1e-6
