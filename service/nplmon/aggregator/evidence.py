"""The evidence of a run: e-processes and e-detectors, with the pool events that the exact form uses up."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from nplmon.aggregator.part import Applied, Part
from nplmon.aggregator.statistic import LARGEST_LOG_P, SMALLEST_LOG_P
from nplmon.broker.messages import Statistic, run_lengths
from nplmon.nplm.joint_eprocess import JointEProcess
from nplmon.nplm.null import significance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from nplmon.broker.messages import Fit, Monitor, Receipt, Run, Snapshot, StatisticKind, StatisticState
    from nplmon.nplm.basis import Basis
    from nplmon.nplm.evidence import Evidence
    from nplmon.prepared import Prepared

EXACT: tuple[StatisticKind, ...] = ("log_e", "log_sr", "log_cusum")
APPROXIMATE: tuple[StatisticKind, ...] = ("log_e_poisson", "log_sr_poisson", "log_cusum_poisson")

REFILL = "nplmon pool add {reference} FILE, or PUT /v1/references/{reference}/pool"


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """Unused events of the pool, for the chunks that are applied next.

    Attributes
    ----------
    events:
        As many as their coins ask for and one more, or all that there are; float32 (L, d).
    left:
        How many there are in all.
    pooled:
        Whether the reference has a pool.
    """

    events: NDArray[np.float32]
    left: int
    pooled: bool

    @classmethod
    def none(cls, features: int) -> Fresh:
        """Give what a reference without a pool has."""
        return cls(events=np.empty((0, features), dtype=np.float32), left=0, pooled=False)


class EvidencePart(Part):
    """E-processes and e-detectors: one set from the pool (exact), one from the reference (approximate).

    Parameters
    ----------
    monitor:
        The monitor at the run's epoch.
    run:
        The run; with its epoch it seeds the coins.
    prepared:
        The monitor's prepared reference.
    exposure_budget:
        Exposure ratio past which the forms that take the reference for H0 itself are invalid.
    """

    name = "evidence"

    def __init__(self, monitor: Monitor, run: Run, prepared: Prepared, exposure_budget: float) -> None:
        self._monitor = monitor
        self._run = run
        self._exposure_budget = exposure_budget
        self._widths = _widths(prepared)
        self._weights = prepared.reference.weights
        self._process = JointEProcess(self._widths, self._weights, monitor.mode)
        self._fresh = Fresh.none(len(monitor.features))
        self._taken = 0
        """Of the fresh events, by the chunks applied since they were supplied."""
        self._starved = True
        self._sequence = 0

    def asked(self, receipts: Iterable[Receipt]) -> int:
        """Give the number of pool events to supply for these chunks."""
        return sum(self._process.asked(one.events, self._coins(one)) for one in receipts) + 1

    def supply(self, fresh: Fresh) -> None:
        """Take unused pool events for the chunks that come; those supplied before and not used are forgotten."""
        self._fresh, self._taken = fresh, 0

    @property
    def taken(self) -> int:
        """Of the events supplied last, how many are used."""
        return self._taken

    def add(self, chunk: Applied) -> None:
        """Test a chunk with what was learned before it, then learn from it."""
        found = self._process.apply(
            _coefficients(chunk.fit),
            chunk.expected,
            chunk.events,
            self._fresh.events[self._taken :],
            self._coins(chunk.receipt),
        )
        self._taken += found.pool_used
        self._starved = found.starved
        self._sequence = chunk.receipt.sequence

    def to_bytes(self) -> bytes:
        """Serialise the processes and whether the pool was empty."""
        return msgspec.msgpack.encode(
            (self._process.to_bytes() if self._process.chunks else b"", self._starved, self._sequence)
        )

    def restore(self, body: bytes) -> None:
        """Continue from what `to_bytes` gave.

        Raises
        ------
        StateError
            If the bytes do not belong here. The part is then as it was.
        """
        process, starved, sequence = msgspec.msgpack.decode(body, type=tuple[bytes, bool, int])
        if process:
            self._process = JointEProcess.from_bytes(self._widths, self._weights, process)
        self._starved, self._sequence = starved, sequence

    def statistics(self) -> dict[StatisticKind, Statistic]:
        """Give the exact and the approximate forms as they are reported."""
        return self._exact() | self._approximate()

    def shown(self, snapshot: Snapshot, /, *_: object) -> Snapshot:
        """Give the snapshot with the state of the pool and of the budget."""
        return msgspec.structs.replace(
            snapshot,
            exposure_budget=self._exposure_budget,
            pool_left=self._fresh.left - self._taken if self._fresh.pooled else None,
            pool_used=self._process.pool_used,
            untested=self._process.untested,
        )

    def _coins(self, receipt: Receipt) -> list[int]:
        """Seed the coins of a chunk: a replay after a restart flips the same."""
        run = self._run
        words = f"{run.monitor}\n{run.name}\n{run.epoch}\n{receipt.sequence}"
        return list(hashlib.sha256(words.encode()).digest())

    def _exact(self) -> dict[StatisticKind, Statistic]:
        untested = self._process.untested
        left_out = f"{untested:,} events of the run were not tested, the pool was empty" if untested else ""
        if not self._starved:
            return self._reported(EXACT, self._process.two_sample, "exact", left_out)
        refill = REFILL.format(reference=self._monitor.reference)
        note = f"the pool is empty: {refill}; {left_out}" if self._fresh.pooled else f"no pool: {refill}"
        return {kind: self._silent(kind, "stopped", note) for kind in EXACT}

    def _approximate(self) -> dict[StatisticKind, Statistic]:
        exposure, budget = self._process.exposure_ratio, self._exposure_budget
        if exposure > budget:
            note = (
                f"exposure {exposure:.2g} is past the budget of {budget:g}, and this form takes the reference for H0 "
                "itself: see log_e, or use a larger reference"
            )
            return {kind: self._silent(kind, "invalid", note) for kind in APPROXIMATE}
        note = f"takes the reference for H0 itself: exposure {exposure:.2g} of the budget of {budget:g}"
        return self._reported(APPROXIMATE, self._process.poisson, "closed form", note)

    def _reported(
        self, kinds: tuple[StatisticKind, ...], evidence: Evidence, state: StatisticState, note: str
    ) -> dict[StatisticKind, Statistic]:
        """Give log E with its p-value, log S and log M, each with its lines."""
        e, sr, cusum = kinds
        run_length, warning_run_length = run_lengths(self._monitor)
        values = {e: evidence.log_e, sr: evidence.log_sr, cusum: evidence.log_cusum}
        lines = {
            e: (1 / self._monitor.alarm.false_alarm_probability, None),
            sr: (run_length, warning_run_length),
            cusum: (run_length, warning_run_length),
        }
        found = {}
        for kind, value in values.items():
            if not math.isfinite(value):
                overflow = "the learned ratio overflows: the data were where the reference has nothing"
                found[kind] = self._silent(kind, "invalid", overflow)
                continue
            log_p = evidence.log_p if kind == e else None
            threshold, warning = lines[kind]
            found[kind] = Statistic(
                kind=kind,
                value=value,
                state=state,
                p=None if log_p is None else math.exp(max(log_p, SMALLEST_LOG_P)),
                z=None if log_p is None else significance(min(log_p, LARGEST_LOG_P)),
                threshold=math.log(threshold),
                warning_threshold=None if warning is None else math.log(warning),
                sequence=self._sequence,
                note=note,
            )
        return found

    def _silent(self, kind: StatisticKind, state: StatisticState, note: str) -> Statistic:
        return Statistic(kind=kind, value=None, state=state, sequence=self._sequence, note=note)


def _widths(prepared: Prepared) -> list[tuple[Basis, NDArray[np.float32]]]:
    return [(width.basis, width.features) for width in prepared.widths]


def _coefficients(fit: Fit) -> list[NDArray[np.float64]]:
    return [np.frombuffer(width.coefficients, dtype="<f8") for width in fit.widths]
