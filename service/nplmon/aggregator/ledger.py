"""The ledger of one run: results go in once each and in order, the state and what readers see come out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from nplmon.aggregator.alarm import highest, next_alarm
from nplmon.aggregator.anomalous import AnomalousEvents
from nplmon.aggregator.binning import Binning
from nplmon.aggregator.effect import Effect
from nplmon.aggregator.entries import applied, dead, risen
from nplmon.aggregator.evidence import EvidencePart, Fresh
from nplmon.aggregator.marginals import Marginals
from nplmon.aggregator.page import Page, Reported
from nplmon.aggregator.pairs import Pairs
from nplmon.aggregator.part import Applied, Part
from nplmon.aggregator.rate import Rate
from nplmon.aggregator.state import SavedState
from nplmon.aggregator.statistic import deciding, reported
from nplmon.aggregator.tolerance import Tolerated
from nplmon.aggregator.widths import Widths
from nplmon.broker.messages import (
    Alarm,
    Death,
    Fit,
    HistoryEntry,
    Snapshot,
    Statistic,
    expected_events,
    run_lengths,
    tests_rate,
)
from nplmon.nplm.errors import StateError
from nplmon.nplm.ratio import project

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from nplmon.aggregator.judge import Judge
    from nplmon.broker.alarm_messages import JournalEntry
    from nplmon.broker.messages import Monitor, Run
    from nplmon.nplm.templates import Template
    from nplmon.prepared import Prepared

LARGEST_LOG_RATIO = 500.0
"""exp of more, summed over a reference, may be no float64; shown ratios are no larger."""


class Ledger:
    """One epoch of one run.

    Parameters
    ----------
    monitor:
        The monitor at the run's epoch.
    run:
        The run.
    prepared:
        The monitor's prepared reference.
    event_cap:
        Events kept for the exact t_agg.
    exposure_budget:
        Exposure ratio past which the statistics carry a note.
    templates:
        The monitor's templates in the eigenbasis of each kernel width.
    """

    def __init__(
        self,
        monitor: Monitor,
        run: Run,
        prepared: Prepared,
        *,
        event_cap: int,
        exposure_budget: float,
        templates: Sequence[Sequence[Template]] = (),
    ) -> None:
        self.monitor = monitor
        self.prepared = prepared
        self._exposure_budget = exposure_budget
        binning = Binning(prepared.reference)
        self._widths = Widths(prepared, monitor.mode, event_cap, templates)
        self._evidence = EvidencePart(monitor, run, prepared, exposure_budget)
        self._tolerated = Tolerated(monitor, self._widths.tolerances)
        self._parts: tuple[Part, ...] = (
            Effect(),
            Marginals(monitor, prepared, binning),
            Pairs(monitor, prepared.reference, binning),
            AnomalousEvents(self._widths),
            self._tolerated,
            *([Rate(monitor)] if tests_rate(monitor) else []),
            self._evidence,
        )
        self.name = run.name
        self.epoch = run.epoch
        self.sequence = 0
        """The last sequence number applied."""
        self._dead = 0
        self._kept: list[int] = []
        self._kept_until = 0
        """The last chunk in the exact t_agg."""
        self._alarm = Alarm()
        self._first_expected = 0.0
        self.judge: Judge | None = None
        """Gives p and thresholds; needed from the first chunk on that is not dead, see `first_expected`."""
        self.began_with: str | None = None
        """Key of the toys that a restored run began with, "" for none; None for a run that begins."""

    def first_expected(self, results: list[Fit | Death]) -> float | None:
        """Give lam of the run's first chunk, which may be among the results to come; None while all are dead."""
        if self._first_expected:
            return self._first_expected
        first = next((result for result in results if isinstance(result, Fit)), None)
        return None if first is None else expected_events(self.monitor, first.receipt)

    @property
    def _judged_by(self) -> Judge:
        if self.judge is None:
            raise ValueError(f"run {self.name!r} has nothing to be judged by: choose it for its first chunk")
        return self.judge

    @property
    def alarm(self) -> Alarm:
        """The alarm after the last chunk."""
        return self._alarm

    def events(self, payload: bytes) -> NDArray[np.float32]:
        """Give the events (N, d) of a stored chunk."""
        return np.frombuffer(payload, dtype="<f4").reshape(-1, len(self.monitor.features))

    def restore(self, saved: SavedState, payloads: Mapping[int, bytes]) -> None:
        """Continue from a saved state.

        Parameters
        ----------
        saved:
            The state.
        payloads:
            Events of the chunks in `saved.kept`, by sequence number.

        Raises
        ------
        StateError
            If the state belongs to other settings or its events are gone. The ledger is then as it was.
        """
        found = (saved.reference_hash, saved.monitor_epoch)
        wanted = (self.monitor.reference_hash, self.monitor.epoch)
        if found != wanted:
            raise StateError(
                f"the state of run {self.name!r} was saved for (reference, monitor epoch) {found}, "
                f"not {wanted}: reset the run"
            )
        if saved.parts.keys() != {part.name for part in self._parts}:
            raise StateError(
                f"the state of run {self.name!r} has the parts {', '.join(saved.parts)}, "
                f"not {', '.join(part.name for part in self._parts)}: reset the run"
            )
        if gone := [sequence for sequence in saved.kept if sequence not in payloads]:
            raise StateError(
                f"the events of chunk number {gone[0]} of run {self.name!r} are not in the store: reset the run"
            )
        if saved.aggregations:
            kept = [self.events(payloads[sequence]) for sequence in saved.kept]
            self._widths.restore(saved.aggregations, kept)
            for part in self._parts:
                part.restore(saved.parts[part.name])
        self.sequence, self._dead, self._alarm = saved.sequence, saved.dead, saved.alarm
        self._kept, self._kept_until = list(saved.kept), saved.kept_until
        self._first_expected = saved.first_expected
        self.began_with = saved.toys if saved.first_expected else None

    def asked(self, results: list[Fit | Death]) -> int:
        """Give the number of pool events that these results ask for: for the exact e-process."""
        return self._evidence.asked(result.receipt for result in results if isinstance(result, Fit))

    def apply(
        self,
        results: list[Fit | Death],
        payloads: Mapping[int, bytes],
        at: float,
        fresh: Fresh | None = None,
    ) -> Page:
        """Apply consecutive results and give what to save.

        Parameters
        ----------
        results:
            Results of the sequence numbers after `self.sequence`, without a gap.
        payloads:
            The chunks' events, by sequence number; not needed for dead chunks.
        at:
            The time, Unix seconds.
        fresh:
            Unused events of the pool, as many as `asked`, or all that there are; None where there is no pool.
        """
        self._evidence.supply(fresh or Fresh.none(len(self.monitor.features)))
        history: list[HistoryEntry] = []
        drop_payloads: list[int] = []
        drop_fits: list[int] = []
        journal: list[JournalEntry] = []
        found: Reported | None = None
        for result in results:
            receipt = result.receipt
            if receipt.sequence != self.sequence + 1:
                raise ValueError(f"sequence number {receipt.sequence} follows {self.sequence}")
            self.sequence = receipt.sequence
            if isinstance(result, Death):
                self._dead += 1
                drop_fits.append(receipt.sequence)
                history.append(dead(result, self._alarm.level, at))
                continue
            events = self.events(payloads[receipt.sequence])
            expected = expected_events(self.monitor, receipt)
            alarms = self._alarms()
            self._first_expected = self._first_expected or expected
            self._widths.apply(result, expected, events)
            for part in self._parts:
                part.add(Applied(fit=result, events=events, expected=expected, at=at))
            self._kept.append(receipt.sequence)
            if self._widths.frozen:
                # Neither the events nor the models are needed any more.
                drop_payloads += self._kept
                drop_fits += self._kept
                self._kept = []
            else:
                self._kept_until = receipt.sequence
            found = self._reported()
            candidate = next_alarm(
                self._alarm,
                found.statistics[found.decides],
                found.ruling,
                run_lengths(self.monitor),
                number=self._widths.chunks,
                chunk=receipt.chunk,
                at=at,
            )
            decided = self._tolerated.decided(self._alarm, candidate, self._widths.runs[found.winner])
            self._alarm = highest(decided, (part.alarm for part in self._parts))
            history.append(applied(result, found.statistics, self._alarm.level, at))
            journal += risen(self.name, alarms, self._alarms())
        last = results[-1].receipt
        # The nulls' quantiles are most of the work of a chunk: they are computed again after a death alone.
        if found is None and self._widths.chunks:
            found = self._reported()
        return Page(
            snapshot=self._snapshot(last.accepted_at, last.source_time, at, found),
            state=self._state(),
            history=history,
            projection=self._projection(found) if found is not None and self._widths.frozen else None,
            drop_payloads=drop_payloads,
            drop_fits=drop_fits,
            pool_used=self._evidence.taken,
            journal=journal,
        )

    def _alarms(self) -> tuple[Alarm, ...]:
        """Give the run's alarm and those of its parts."""
        return self._alarm, *(part.alarm for part in self._parts)

    def _reported(self) -> Reported:
        joint = self._widths.statistics()
        decides = deciding(joint)
        size = self._widths.expected / self._widths.chunks
        rulings = {
            kind: self._judged_by.rule(kind, one.statistic.chunks, size) for kind, one in joint.items()
        }
        exposure = self._widths.exposure_ratio
        dominated = (
            f"exposure {exposure:.2g} is past the budget of {self._exposure_budget:g}: the reference's own error "
            "dominates; its average effect is in the null"
            if exposure > self._exposure_budget
            else ""
        )
        statistics: dict[str, Statistic] = {}
        for kind, one in joint.items():
            note = dominated if one.smallest is not None else ""
            if one.statistic.frozen:
                note = (
                    f"frozen after {one.statistic.chunks} chunks: the run has more events than are kept for the exact "
                    "value; t_score goes on"
                )
            statistics[kind] = reported(
                kind,
                one,
                width=self._widths.sigmas[one.best],
                sequence=self._kept_until if one.statistic.frozen else self.sequence,
                ruling=rulings[kind],
                note="; ".join(filter(None, (note, one.note))),
            )
        if "t_agg" not in statistics:
            statistics["t_agg"] = Statistic(
                kind="t_agg",
                value=None,
                state="frozen",
                sequence=0,
                note="the first chunk alone has more events than are kept for the exact value; t_score goes on",
            )
        for part in self._parts:
            statistics.update(part.statistics().items())
        chosen = self.monitor.alarm.statistic
        by_p = chosen == "t_score"
        return Reported(
            statistics=statistics,
            decides=decides if by_p else chosen,
            ruling=rulings[decides] if by_p else None,
            winner=joint[decides].best,
        )

    def _snapshot(
        self,
        accepted_at: float,
        source_time: float | None,
        at: float,
        found: Reported | None,
    ) -> Snapshot:
        run = self._widths
        common = Snapshot(
            monitor=self.monitor.name,
            run=self.name,
            run_epoch=self.epoch,
            monitor_epoch=self.monitor.epoch,
            reference_hash=self.monitor.reference_hash,
            sequence=self.sequence,
            chunks=run.chunks,
            dead=self._dead,
            events=run.events,
            expected=run.expected,
            exposure_ratio=run.exposure_ratio,
            sigmas=run.sigmas,
            alarm=self._alarm,
            updated_at=at,
            last_accepted_at=accepted_at,
            last_source_time=source_time,
        )
        if found is None:
            return common
        winner = run.runs[found.winner]
        # JSON has no infinity.
        log_ratio = np.minimum(winner.log_ratio(), LARGEST_LOG_RATIO)
        shown = msgspec.structs.replace(
            common,
            statistics=found.statistics,
            winner=found.winner,
            deciding=found.decides,
            calibration=self._judged_by.used(run.chunks, run.expected / run.chunks),
            ratio_form="projection" if run.frozen else "mixture",
            log_normalisation=winner.log_normalisation(),
        )
        for part in self._parts:
            shown = part.shown(shown, winner, log_ratio)
        return shown

    def _state(self) -> bytes:
        return SavedState(
            reference_hash=self.monitor.reference_hash,
            monitor_epoch=self.monitor.epoch,
            sequence=self.sequence,
            dead=self._dead,
            kept=self._kept,
            kept_until=self._kept_until,
            alarm=self._alarm,
            first_expected=self._first_expected,
            toys="" if self.judge is None else self.judge.key,
            aggregations=self._widths.to_bytes(),
            parts={part.name: part.to_bytes() for part in self._parts},
        ).to_bytes()

    def _projection(self, found: Reported) -> bytes:
        run = self._widths.runs[found.winner]
        return project(run.basis, run.reference_features, run.weights, run.log_ratio()).to_bytes()
