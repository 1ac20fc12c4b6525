"""Kernel widths of a run: one aggregation for each, and what the best of them says, the choice accounted for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.errors import StateError
from nplmon.nplm.null import EVENTS_PER_DEGREE
from nplmon.nplm.templates import RunScore, Tolerance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.broker.messages import Fit, Mode
    from nplmon.nplm.aggregation import Kind
    from nplmon.nplm.statistic import TestStatistic
    from nplmon.nplm.templates import Template
    from nplmon.prepared import Prepared


@dataclass(frozen=True, kw_only=True)
class Joint:
    """One kind of statistic over all kernel widths.

    Attributes
    ----------
    best:
        Which width is shown: the one with the smallest p-value.
    statistic:
        Its numbers.
    smallest:
        Logarithm of that p-value; None where no width has one.
    note:
        Which widths are left out, and why.
    """

    best: int
    statistic: TestStatistic
    smallest: float | None
    note: str = ""


class Widths:
    """The aggregations of one run, one for each kernel width, of the same chunks.

    Parameters
    ----------
    prepared:
        The monitor's prepared reference.
    mode:
        "shape" or "rate".
    event_cap:
        Events kept for the exact t_agg; all widths keep the same ones.
    templates:
        Alternative references in the eigenbasis of each width; with any there is t_profiled.
    """

    def __init__(
        self,
        prepared: Prepared,
        mode: Mode,
        event_cap: int,
        templates: Sequence[Sequence[Template]] = (),
    ) -> None:
        weights = prepared.reference.weights
        self.sigmas = prepared.sigmas
        self.runs = tuple(
            Aggregation(width.basis, width.features, weights, mode, event_cap) for width in prepared.widths
        )
        """The aggregation of each width, in their order."""
        self.tolerances = tuple(
            Tolerance(basis=run.basis, mode=mode, templates=some)
            for run, some in zip(self.runs, templates, strict=False)
            if some
        )
        """What is tolerated in each width; empty without templates."""

    @property
    def chunks(self) -> int:
        """The number of chunks."""
        return self.runs[0].chunks

    @property
    def events(self) -> int:
        """The number of events."""
        return self.runs[0].events

    @property
    def expected(self) -> float:
        """Lambda, the sum of the chunks' expected counts."""
        return self.runs[0].expected

    @property
    def exposure_ratio(self) -> float:
        """Lambda / N_eff."""
        return self.runs[0].exposure_ratio

    @property
    def frozen(self) -> bool:
        """Whether t_agg has stopped; it stops in all widths at once."""
        return self.runs[0].frozen

    def apply(self, fit: Fit, expected: float, events: NDArray[np.floating]) -> None:
        """Add one chunk.

        Parameters
        ----------
        fit:
            Its fits, one for each width.
        expected:
            Its expected count.
        events:
            Its events (N_k, d).

        Raises
        ------
        ValueError
            If it has another number of widths, or other eigenbases. Nothing is added then.
        """
        sizes = [len(one.score) // 8 for one in fit.widths]
        wanted = [run.basis.size for run in self.runs]
        if sizes != wanted:
            raise ValueError(
                f"chunk {fit.receipt.chunk!r} was fitted with {sizes} components for each kernel width, not {wanted}: "
                "reset the run"
            )
        for run, one in zip(self.runs, fit.widths, strict=True):
            run.apply(
                np.frombuffer(one.coefficients, dtype="<f8"),
                np.frombuffer(one.score, dtype="<f8"),
                one.t_chunk,
                expected,
                events,
            )

    def statistics(self) -> dict[Kind, Joint]:
        """Give each kind of statistic over the widths; empty before the first chunk.

        A width that is too narrow for chunks of this size has no null and is left out; where all are, the one with the
        fewest degrees of freedom is shown without a p-value.
        """
        # Where the data are beyond the reference, the ratio overflows; that is reported, not warned about.
        with np.errstate(over="ignore", invalid="ignore"):
            found = [run.statistics() for run in self.runs]
        if not self.chunks:
            return {}
        for one, run, tolerance in zip(found, self.runs, self.tolerances, strict=False):
            one["t_profiled"] = tolerance.profiled(RunScore.of(run), chunks=run.chunks).statistic
        size = self.expected / self.chunks
        degrees = [run.degrees for run in self.runs]
        tested = [i for i, one in enumerate(degrees) if size >= EVENTS_PER_DEGREE * one]
        small = self._too_small(size, degrees, tested)
        return {kind: self._joint([one[kind] for one in found], degrees, tested, small) for kind in found[0]}

    def _too_small(self, size: float, degrees: Sequence[float], tested: Sequence[int]) -> str:
        if not tested:
            return (
                f"no p-value: chunks of {size:.3g} events are too small for {min(degrees):.3g} degrees of freedom; "
                "send larger chunks or raise lambda"
            )
        left = [
            f"{sigma:.3g} ({degrees[i]:.3g} degrees of freedom)"
            for i, sigma in enumerate(self.sigmas)
            if i not in tested
        ]
        return f"chunks of {size:.3g} events are too small for sigma {', '.join(left)}" if left else ""

    def _joint(
        self, found: Sequence[TestStatistic], degrees: Sequence[float], tested: Sequence[int], note: str
    ) -> Joint:
        among = tested or range(len(found))
        finite = [i for i in among if is_finite(found[i])]
        if not tested or not finite:
            best = min(finite or among, key=lambda i: degrees[i])
            return Joint(best=best, statistic=found[best], smallest=None, note=note)
        log_p = {i: found[i].log_p for i in finite}
        best = min(finite, key=lambda i: log_p[i])
        if over := [f"{self.sigmas[i]:.3g}" for i in among if i not in finite]:
            # The calibration takes all widths as tested, so that p is rather too large.
            overflow = f"the density ratio of sigma {', '.join(over)} overflows"
            note = f"{note}; {overflow}" if note else overflow
        return Joint(best=best, statistic=found[best], smallest=log_p[best], note=note)

    def to_bytes(self) -> list[bytes]:
        """Serialise each width's aggregation; none before the first chunk."""
        return [run.to_bytes() for run in self.runs] if self.chunks else []

    def restore(self, saved: Sequence[bytes], kept_chunks: Sequence[NDArray[np.floating]]) -> None:
        """Continue from what `to_bytes` gave, bit for bit; see `Aggregation.restore`.

        Raises
        ------
        StateError
            If it is the state of another number of widths, or of other settings.
        """
        if not saved:
            return
        if len(saved) != len(self.runs):
            raise StateError(
                f"the saved state has {len(saved)} kernel widths, not {len(self.runs)}: reset the run"
            )
        for run, body in zip(self.runs, saved, strict=True):
            run.restore(body, kept_chunks)


def is_finite(found: TestStatistic) -> bool:
    """Whether a statistic and its null are numbers; else the density ratio overflows."""
    return math.isfinite(found.value) and math.isfinite(found.null.deviation)
