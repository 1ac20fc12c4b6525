r"""Calibration of a monitor: what a value means, and when it is an alarm.

Of each statistic the smallest closed-form p over the kernel widths is looked at, :math:`\log p_{min}`. Under H0 it has
a distribution after each chunk, known from toys that replay everything or, in closed form, from Gaussian scores of all
widths together. From it come

- p, the probability of a :math:`\log p_{min}` at most as large, with its resolution;
- thresholds on :math:`\log p_{min}` for an alarm and a warning, from expected run lengths.

Chunks whose sizes are not those of the toys are covered by the closed-form p, which is exact in them. numpy and scipy
only.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from nplmon.nplm.disagreement import Disagreement, disagreement
from nplmon.nplm.errors import StateError
from nplmon.nplm.kind_calibration import KindCalibration, independent, ranked
from nplmon.nplm.level_process import ScoreProcess, SumProcess
from nplmon.nplm.levels import closed_form_levels
from nplmon.nplm.run_length import PValueThresholds
from nplmon.nplm.toy_plan import Trajectories, sealed, unsealed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis
    from nplmon.nplm.null import Mode
    from nplmon.nplm.toy_plan import ToyPlan

Origin = Literal["toys", "closed form"]
PSource = Literal["toys", "closed form", "union bound"]
VERSION: Final = 1
DRAWS: Final = 20_000
"""Of the smallest p of several widths, in closed form."""
SCORE_KINDS: Final = ("t_score", "t_agg", "t_ref")
"""Forms of one score: equal or nearly so in the regime of the closed form."""


@dataclass(frozen=True, kw_only=True)
class CalibratedP:
    """A p-value and where it is from.

    Attributes
    ----------
    log_p:
        Its logarithm.
    resolution:
        The smallest p that the toys or draws resolve; None where p is exact in closed form.
    source:
        "toys"; "closed form"; "union bound", where several widths are below the resolution: widths x p_min, an upper
        bound.
    """

    log_p: float
    resolution: float | None
    source: PSource


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What p and thresholds are, for each statistic.

    Attributes
    ----------
    key:
        Names all that it depends on: hashes of monitor, reference, pool and plan; whoever keeps it compares it.
    origin:
        "toys" or "closed form".
    source:
        Of toys, "disjoint" or "fixed-reference"; else empty.
    toys:
        The number of toys, or of the runs drawn in closed form.
    draws:
        What the resolution of p follows from: the toys, or the draws of the smallest p; 0 where p is exact.
    length:
        Chunks of a toy.
    widths:
        The number of kernel widths.
    run_length, warning_run_length:
        ERT of alarm and warning, in chunks; None without thresholds.
    pool_exposure:
        Of toys, events of one toy / events of the pool; else 0. See `ToyPlan.pool_exposure`.
    kinds:
        The calibration of each statistic.
    disagreement:
        Of toys, how far they are from the closed form, by statistic.

    Examples
    --------
    >>> log_p = {"t_score": np.log(np.random.default_rng(0).uniform(size=(2_000, 5, 1)))}
    >>> toys = Trajectories(plan="x", numbers=np.arange(2_000), values=log_p, log_p=log_p)
    >>> found = Calibration.from_trajectories([toys], run_length=100, warning_run_length=10)
    >>> one = found.p("t_score", 3, float(np.log(0.05)))
    >>> one.source, round(float(np.exp(one.log_p)), 2), bool(found.alarm("t_score", 1) < found.warning("t_score", 1))
    ('toys', 0.04, True)
    >>> Calibration.from_bytes(found.to_bytes()).alarm("t_score", 1) == found.alarm("t_score", 1)
    True
    """

    key: str
    origin: Origin
    source: str
    toys: int
    draws: int
    length: int
    widths: int
    run_length: float | None
    warning_run_length: float | None
    pool_exposure: float
    kinds: dict[str, KindCalibration]
    disagreement: dict[str, Disagreement] = field(default_factory=dict)

    @classmethod
    def from_trajectories(
        cls,
        parts: Sequence[Trajectories],
        *,
        plan: ToyPlan | None = None,
        run_length: float | None = None,
        warning_run_length: float | None = None,
        pool: int | None = None,
        key: str = "",
    ) -> Calibration:
        """Calibrate with toys.

        Parameters
        ----------
        parts:
            Batches of toys of one plan.
        plan:
            The plan, if it is to be checked and told.
        run_length, warning_run_length:
            ERT of the alarm and of the warning, in chunks; None: p alone, without thresholds.
        pool:
            Events in the pool, to tell the pool's exposure.
        key:
            As in the class.

        Raises
        ------
        ValueError
            If the batches do not belong together or to the plan, there are fewer than 10 ERT toys (`toys_needed`
            tells), or a value is not finite from the first chunk on.
        """
        all_toys = Trajectories.concatenate(parts)
        if plan is not None and all_toys.plan != plan.digest:
            raise ValueError(f"toys of plan {all_toys.plan}, not {plan.digest}: replay the toys of this plan")
        kinds: dict[str, KindCalibration] = {}
        apart: dict[str, Disagreement] = {}
        for kind, log_p in all_toys.log_p.items():
            there = np.isfinite(log_p).all(axis=(0, 2))
            length = int(there.size if there.all() else there.argmin())
            if not length:
                if kind == "t_agg" and plan is not None and plan.events > plan.kept_events:
                    continue  # the first chunk alone is too large
                bad = int(np.flatnonzero(~np.isfinite(log_p[:, 0]).all(axis=1))[0])
                raise ValueError(f"{kind} of toy {all_toys.numbers[bad]} is not finite: look at its fit")
            smallest = all_toys.smallest(kind)[:, :length]
            kinds[kind] = KindCalibration.of(smallest, run_length, warning_run_length)
            apart[kind] = disagreement(kind, log_p[:, :length])
        exposure = plan.pool_exposure(pool) if plan is not None and pool else 0.0
        return cls(
            key=key,
            origin="toys",
            source=plan.source if plan is not None else "",
            toys=all_toys.toys,
            draws=all_toys.toys,
            length=all_toys.chunks,
            widths=all_toys.widths,
            run_length=run_length,
            warning_run_length=warning_run_length,
            pool_exposure=exposure,
            kinds=kinds,
            disagreement=apart,
        )

    @classmethod
    def closed_form(
        cls,
        bases: Sequence[Basis],
        mode: Mode,
        expected: float,
        *,
        run_length: float,
        warning_run_length: float,
        moments: NDArray[np.float64] | None = None,
        seed: int = 0,
        key: str = "",
    ) -> Calibration:
        """Calibrate without toys, in the regime of the closed form; see `nplmon.nplm.levels`.

        The same arguments give the same calibration. With one width p is the closed-form p itself.

        Parameters
        ----------
        bases:
            The eigenbases of all widths, of one reference.
        mode:
            "shape" or "rate".
        expected:
            The expected count of a typical chunk.
        run_length, warning_run_length:
            ERT of the alarm and of the warning, in chunks.
        moments:
            For several widths, `cross_moments` of their components.
        seed:
            Of the draws.
        key:
            As in the class.

        Raises
        ------
        ValueError
            If the bases, the moments or a number are out of range.

        Examples
        --------
        >>> from nplmon.nplm.preparation import prepare
        >>> basis = prepare(np.random.default_rng(1).exponential(size=(20_000, 1)), centres=50, sigma=0.7)
        >>> found = Calibration.closed_form([basis], "shape", 500.0, run_length=100, warning_run_length=20)
        >>> found.p("t_score", 7, -5.0).log_p, found.alarm("t_score", 50) > found.alarm("t_score", 5)
        (-5.0, True)
        """
        process = ScoreProcess.of(bases, mode, expected, moments)
        both = {"warning": warning_run_length, "alarm": run_length}
        score, total = (closed_form_levels(one, **both, seed=seed) for one in (process, SumProcess()))
        several = len(bases) > 1
        z = np.random.default_rng([seed, 3]).standard_normal((DRAWS, process.orders.size), dtype=np.float32)
        at_once = process.log_p(z)[:, None] if several else np.empty((0, 0))
        exact = KindCalibration(**ranked(at_once), stationary=True)
        own = KindCalibration(ranks=np.empty(0, dtype=np.int64), log_p=np.empty((0, 0)))
        last = score.alarm.length
        return cls(
            key=key,
            origin="closed form",
            source="",
            toys=score.alarm.toys,
            draws=DRAWS if several else 0,
            length=last,
            widths=len(bases),
            run_length=run_length,
            warning_run_length=warning_run_length,
            pool_exposure=0.0,
            kinds=dict.fromkeys(SCORE_KINDS, replace(exact, alarm=score.alarm, warning=score.warning))
            | {
                "t_sum": replace(own, alarm=total.alarm, warning=total.warning),
                "t_chunk": replace(
                    exact,
                    alarm=independent(at_once, run_length, last),
                    warning=independent(at_once, warning_run_length, last),
                ),
            },
        )

    def p(self, kind: str, chunk: int, log_p_min: float) -> CalibratedP:
        """Give the p-value of a smallest closed-form p after a number of chunks.

        Where the toys do not resolve it, or do not reach as far, it is the closed form's, for several widths an upper
        bound, and at most the toys' resolution.

        Parameters
        ----------
        kind:
            The statistic; one that is not calibrated gets the closed form.
        chunk:
            n, from 1.
        log_p_min:
            The smallest log p over the widths.

        Raises
        ------
        ValueError
            If chunk is below 1 or log_p_min is not a logarithm of a probability.
        """
        if chunk < 1 or not log_p_min <= 0:
            raise ValueError(f"log p of {log_p_min} after chunk {chunk}: count from 1, and give at most 0")
        source: PSource = "closed form" if self.widths == 1 else "union bound"
        bound = min(float(log_p_min + np.log(self.widths)), 0.0)
        found = self.kinds.get(kind)
        count = None if found is None else found.count(chunk, log_p_min)
        resolution = 1 / (self.draws + 1) if self.draws and count is not None else None
        if count is None:
            return CalibratedP(log_p=bound, resolution=resolution, source=source)
        if count == 0:
            return CalibratedP(
                log_p=min(bound, -float(np.log(self.draws + 1))), resolution=resolution, source=source
            )
        log_p = float(np.log((1 + count) / (self.draws + 1)))
        return CalibratedP(log_p=min(log_p, 0.0), resolution=resolution, source=self.origin)

    def alarm(self, kind: str, chunk: int) -> float:
        """Give the log p_min at or below which there is an alarm after a number of chunks.

        Raises
        ------
        ValueError
            If there are no thresholds for this statistic.
        """
        return self._at("alarm", kind, chunk)

    def warning(self, kind: str, chunk: int) -> float:
        """Give the log p_min at or below which there is a warning; raises as `alarm` does."""
        return self._at("warning", kind, chunk)

    def _at(self, level: Literal["alarm", "warning"], kind: str, chunk: int) -> float:
        found = self.kinds.get(kind)
        limits: PValueThresholds | None = None if found is None else getattr(found, level)
        if limits is None:
            raise ValueError(
                f"no {level} threshold of {kind}: calibrated are {', '.join(self.kinds)}, run length {self.run_length}"
            )
        return limits.at(chunk)

    @property
    def warnings(self) -> list[str]:
        """Where toys and closed form disagree by more than the toys' number explains."""
        return [one.warning for one in self.disagreement.values() if one.warning]

    def to_bytes(self) -> bytes:
        """Serialise with version and checksum."""
        header: dict[str, Any] = {
            "version": VERSION,
            "scalars": {name: getattr(self, name) for name in _SCALARS},
            "kinds": {},
            "disagreement": {kind: asdict(one) for kind, one in self.disagreement.items()},
        }
        arrays: dict[str, NDArray[np.generic]] = {}
        for kind, one in self.kinds.items():
            arrays |= {f"{kind} ranks": one.ranks, f"{kind} log_p": np.ascontiguousarray(one.log_p)}
            header["kinds"][kind] = {"stationary": one.stationary, "levels": {}}
            for level in ("alarm", "warning"):
                limits: PValueThresholds | None = getattr(one, level)
                if limits is None:
                    continue
                header["kinds"][kind]["levels"][level] = [limits.run_length, limits.toys]
                arrays[f"{kind} {level}"] = np.stack([limits.log_p, limits.lower, limits.upper])
        text = json.dumps(header).encode()
        return sealed(arrays | {"header": np.frombuffer(text, dtype=np.uint8)})

    @classmethod
    def from_bytes(cls, body: bytes) -> Calibration:
        """Read what `to_bytes` wrote.

        Raises
        ------
        StateError
            If the bytes are damaged or of another version.
        """
        arrays = unsealed(body, "calibration")
        header = json.loads(arrays["header"].tobytes())
        if header.get("version") != VERSION:
            raise StateError(
                f"a calibration of version {header.get('version')}, not {VERSION}: calibrate again"
            )
        kinds: dict[str, KindCalibration] = {}
        for kind, one in header["kinds"].items():
            limits = {
                level: PValueThresholds(
                    run_length=run_length,
                    toys=toys,
                    **dict(zip(("log_p", "lower", "upper"), arrays[f"{kind} {level}"], strict=True)),
                )
                for level, (run_length, toys) in one["levels"].items()
            }
            kinds[kind] = KindCalibration(
                ranks=arrays[f"{kind} ranks"],
                log_p=arrays[f"{kind} log_p"],
                stationary=one["stationary"],
                **limits,
            )
        apart = {kind: Disagreement(**one) for kind, one in header["disagreement"].items()}
        return cls(**header["scalars"], kinds=kinds, disagreement=apart)


_SCALARS: Final = (
    "key",
    "origin",
    "source",
    "toys",
    "draws",
    "length",
    "widths",
    "run_length",
    "warning_run_length",
    "pool_exposure",
)
