"""What a run accumulates beside its averaged ratio: one part for each thing that is shown of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nplmon.broker.messages import Alarm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nplmon.broker.messages import Fit, Receipt, Snapshot, Statistic, StatisticKind
    from nplmon.nplm.aggregation import Aggregation


@dataclass(frozen=True, kw_only=True)
class Applied:
    """One chunk at its application.

    Attributes
    ----------
    fit:
        The result of its trainer, with its receipt.
    events:
        In feature units, float32 (N_k, d).
    expected:
        lam_k.
    at:
        Time of the application, Unix seconds.
    """

    fit: Fit
    events: NDArray[np.float32]
    expected: float
    at: float

    @property
    def receipt(self) -> Receipt:
        """The promise given for the chunk."""
        return self.fit.receipt


class Part(ABC):
    """One part of a ledger: it is told each applied chunk once, in order, and is saved and restored with the run.

    Its next values depend on what `to_bytes` gives and on what it was made from, so that a restored run goes on bit
    for bit as one that was never interrupted.
    """

    name: ClassVar[str]
    """Its place in the saved state: never changed, never given to another part."""

    @abstractmethod
    def add(self, chunk: Applied) -> None:
        """Take in one chunk; the run's aggregation has it already."""

    @abstractmethod
    def to_bytes(self) -> bytes:
        """Serialise what was accumulated."""

    @abstractmethod
    def restore(self, body: bytes) -> None:
        """Continue from what `to_bytes` gave.

        Raises
        ------
        StateError
            If the bytes do not belong here. The part is then as it was.
        """

    @property
    def alarm(self) -> Alarm:
        """The alarm of this part, latched; the run's alarm is the highest of all."""
        return Alarm()

    def statistics(self) -> dict[StatisticKind, Statistic]:
        """Give the statistics of this part after the last chunk, as they are reported."""
        return {}

    @abstractmethod
    def shown(self, snapshot: Snapshot, run: Aggregation, log_ratio: NDArray[np.float64], /) -> Snapshot:
        """Give the snapshot with the members of this part.

        Parameters
        ----------
        snapshot:
            What is known so far.
        run:
            The run's aggregation with the kernel width that wins (`Snapshot.winner`), with at least one chunk.
        log_ratio:
            Its log rbar at the reference events, float64 (N_R,), bounded so that its exponential is finite.
        """
