"""What is said over Redis about a calibration by toys: what was asked for, how far it is, and one batch of it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

import msgspec

from nplmon.broker.message import Message
from nplmon.broker.messages import Mode

if TYPE_CHECKING:
    from nplmon.broker.messages import Monitor

ToySource = Literal["disjoint", "fixed-reference"]
ToyKind = Literal["t_chunk", "t_agg", "t_ref", "t_score", "t_sum"]
CalibrationState = Literal["running", "complete", "failed", "cancelled", "void"]
FORMAT = 1
"""Of the toys' results and of what they are reduced to; part of every key."""


class CalibrationPlan(Message, frozen=True, kw_only=True):
    """What is replayed, besides the monitor's settings."""

    source: ToySource
    """"fixed-reference": the reference stays, data come from its pool. "disjoint": reference and data of each toy are
    drawn anew, from both together."""
    toys: int
    chunks: int
    """Chunks of each toy: thresholds are chosen for 1 to so many."""
    events: float
    """Events expected in each chunk under H0."""
    seed: int = 0
    statistics: tuple[ToyKind, ...] = ("t_score",)
    """t_score, which decides on the alarm, needs no fit and is many times faster than the others."""
    pool_hash: str = ""
    """Of the held-out pool's content; "" where the reference is split in its place."""
    pool_first: int = 0
    """Number of the first event in the pool that is used."""
    pool_events: int
    """Events used of the pool, or split off the reference."""


class CalibrationOrder(Message, frozen=True, kw_only=True):
    """What was asked for; with the monitor's settings all that a calibration depends on."""

    monitor: str
    monitor_epoch: int
    key: str
    """Hash of all that the calibration depends on, see `calibration_key`."""
    reference_hash: str
    mode: Mode
    plan: CalibrationPlan
    run_length: float
    """Expected chunks between false alarms, from the monitor's alarm policy."""
    warning_run_length: float
    asked_at: float
    note: str = ""
    format: int = FORMAT


class ToyCalibration(Message, frozen=True, kw_only=True):
    """A calibration by toys as it is now."""

    monitor: str
    state: CalibrationState
    reason: str = ""
    """Why it failed, was cancelled or is void."""
    monitor_epoch: int
    key: str
    reference_hash: str
    mode: Mode
    plan: CalibrationPlan
    toys_needed: int
    """Toys that thresholds for this run length need at least."""
    toys_done: int
    run_length: float
    warning_run_length: float
    batches: int
    """0 until the first toy has told how long one takes."""
    batches_done: int
    seconds_per_toy: float | None = None
    """Of the first toy, on the trainer that ran it."""
    generation: int
    """Grows with every start; results of an older one are superseded."""
    asked_at: float
    ended_at: float | None = None
    note: str = ""
    """What a reader must know about the plan."""
    disagreement: str = ""
    """Where toys and closed form disagree by more than the number of toys explains, with its size; "" where they agree.
    """


class ToyBatch(Message, frozen=True, kw_only=True):
    """Some toys of one calibration in our hands, until we finish them, hand them back, or stop renewing."""

    entry: str
    """Id of the entry, unique within its monitor."""
    generation: int
    batch: int
    first: int
    """Number of the first toy."""
    count: int
    deliveries: int
    """How often the batch was given out, this time included."""
    order: CalibrationOrder


TOYS_PER_CHUNK = 10
"""Toys needed for each chunk of the expected run length: so many cross at the first chunk."""


def toys_needed(run_length: float) -> int:
    """Give the number of toys that thresholds for an expected run length need at least.

    Examples
    --------
    >>> toys_needed(1000.0)
    10000
    """
    return -int(-TOYS_PER_CHUNK * run_length // 1)


def calibration_key(monitor: Monitor, plan: CalibrationPlan, run_lengths: tuple[float, float]) -> str:
    """Give the hash (hex) of all that a calibration depends on.

    These are the reference, the model's settings, the mode, the run lengths of alarm and warning, the plan with the
    content of the pool, and the format of the results.
    """
    depends = {
        "format": FORMAT,
        "reference": monitor.reference_hash,
        "features": monitor.features,
        "mode": monitor.mode,
        "kernel": monitor.kernel,
        "run_lengths": run_lengths,
        "plan": plan,
    }
    return hashlib.sha256(msgspec.json.encode(depends)).hexdigest()[:32]
