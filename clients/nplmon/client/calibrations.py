"""The requests of a calibration by toys; see `nplmon.client.calls` for all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from urllib.parse import quote

from nplmon.client.conversation import Answer, Call
from nplmon.client.decoding import decode, encode
from nplmon.client.records import CalibrationStatus


def calibrate(
    monitor: str,
    *,
    toys: int | None = None,
    chunks: int | None = None,
    events: float | None = None,
    source: Literal["disjoint", "fixed-reference"] | None = None,
    seed: int | None = None,
    statistics: Sequence[str] | None = None,
) -> Call[CalibrationStatus]:
    """Ask for a calibration by toys, or go on with the one that is there; what is None is the service's choice.

    Parameters
    ----------
    toys:
        At least ten for each chunk of the expected run length.
    chunks, events:
        Chunks of each toy, and the events expected in each.
    source:
        "fixed-reference": data are drawn from the reference's pool. "disjoint": reference and data are drawn anew.
    statistics:
        Those to calibrate; t_score alone needs no fits.
    """
    asked = {
        "toys": toys,
        "chunks": chunks,
        "events": events,
        "source": source,
        "seed": seed,
        "statistics": statistics,
    }
    said = {name: encode(value) for name, value in asked.items() if value is not None}
    return Call("POST", _path(monitor), _status, json=said)


def calibration(monitor: str) -> Call[CalibrationStatus]:
    """Look at a monitor's calibration by toys."""
    return Call("GET", _path(monitor), _status)


def cancel_calibration(monitor: str) -> Call[CalibrationStatus]:
    """Cancel a calibration by toys, or drop a complete one."""
    return Call("DELETE", _path(monitor), _status)


def _path(monitor: str) -> str:
    return f"/v1/monitors/{quote(monitor, safe='')}/calibration"


def _status(answer: Answer) -> CalibrationStatus:
    return decode(CalibrationStatus, answer.json())
