"""Anomalous: the events of a run that are least like the reference, with their values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from nplmon.aggregator.overflow import LARGEST_RATIO
from nplmon.aggregator.part import Applied, Part
from nplmon.broker.findings import AnomalousEvent
from nplmon.nplm.anomalous import Anomalous
from nplmon.nplm.errors import StateError

if TYPE_CHECKING:
    from nplmon.aggregator.widths import Widths
    from nplmon.broker.messages import Snapshot

TOLD: Final = 20
"""Events in the snapshot."""
LARGEST_LOG_RATIO: Final = math.log(LARGEST_RATIO)


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What the next snapshot depends on."""

    candidates: list[bytes]
    """`Anomalous.to_bytes()` of each kernel width."""
    chunks: dict[int, str]
    """Ids of the candidates' chunks, by number."""


class AnomalousEvents(Part):
    """The most anomalous events of a run, by the averaged log ratio of the kernel width that wins.

    Parameters
    ----------
    widths:
        The run's aggregations, which have each chunk before this part has it.
    """

    name = "anomalous"

    def __init__(self, widths: Widths) -> None:
        self._widths = widths
        self._found = tuple(Anomalous(run.basis) for run in widths.runs)
        self._chunks: dict[int, str] = {}

    def add(self, chunk: Applied) -> None:
        """Judge the events of one chunk, and the candidates anew."""
        receipt = chunk.receipt
        for found, fit, run in zip(self._found, chunk.fit.widths, self._widths.runs, strict=True):
            found.add(
                np.frombuffer(fit.coefficients, dtype="<f8"),
                chunk.expected,
                chunk.events,
                sequence=receipt.sequence,
                features=run.newest_features(len(chunk.events)),
            )
        self._chunks[receipt.sequence] = receipt.chunk
        kept = {sequence for found in self._found for sequence in found.sequences.tolist()}
        self._chunks = {sequence: name for sequence, name in self._chunks.items() if sequence in kept}

    def to_bytes(self) -> bytes:
        """Serialise the candidates of all widths."""
        saved = Saved(candidates=[found.to_bytes() for found in self._found], chunks=self._chunks)
        return msgspec.msgpack.encode(saved)

    def restore(self, body: bytes) -> None:
        """Continue from what `to_bytes` gave."""
        try:
            saved = msgspec.msgpack.decode(body, type=Saved)
        except msgspec.MsgspecError as error:
            raise StateError(f"{len(body)} bytes are no anomalous events ({error}): reset the run") from error
        if len(saved.candidates) != len(self._found):
            raise StateError(
                f"anomalous events of {len(saved.candidates)} kernel widths, not {len(self._found)}: reset the run"
            )
        for found, one in zip(self._found, saved.candidates, strict=True):
            found.restore(one)
        self._chunks = saved.chunks

    def shown(self, snapshot: Snapshot, /, *_: object) -> Snapshot:
        """Give the snapshot with the most anomalous events."""
        found = self._found[snapshot.winner]
        events = tuple(
            AnomalousEvent(
                chunk=self._chunks[sequence],
                sequence=sequence,
                row=row,
                log_ratio=log_ratio if log_ratio <= LARGEST_LOG_RATIO else None,
                values=tuple(values),
            )
            for sequence, row, log_ratio, values in zip(
                found.sequences[:TOLD].tolist(),
                found.rows[:TOLD].tolist(),
                found.log_ratios[:TOLD].tolist(),
                found.events[:TOLD].tolist(),
                strict=True,
            )
        )
        return msgspec.structs.replace(snapshot, anomalous=events)
