"""What the service answers, as light frozen dataclasses. Times are Unix seconds in UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nplmon.client.alarm_records import Acknowledgement, Alarm, AlarmLevel, Handling
from nplmon.client.findings import EffectSize, FeatureRatio

ChunkState = Literal["queued", "leased", "fitted", "applied", "dead", "superseded"]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An immutable reference sample; lists run over `features`."""

    name: str
    hash: str
    features: tuple[str, ...]
    units: tuple[str, ...]
    events: int
    weighted: bool
    sum_weights: float
    effective_events: float
    means: tuple[float, ...]
    standard_deviations: tuple[float, ...]
    minima: tuple[float, ...]
    maxima: tuple[float, ...]
    created_at: float


@dataclass(frozen=True, kw_only=True)
class PoolSegment:
    """Events of one upload to a pool; `first` counts the events of the pool before it."""

    hash: str
    first: int
    events: int
    added_at: float


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The held-out events of a reference version; `left` says by monitor how many it has not used."""

    reference: str
    reference_hash: str
    hash: str
    events: int
    segments: tuple[PoolSegment, ...] = ()
    left: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PoolAdded:
    """What an upload did to a pool; `added` is 0 where the same events were there."""

    added: int
    pool: Pool


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """Settings of the kernel model; without `sigmas` the widths are the `sigma_quantiles` of the pair distances."""

    centres: int = 1000
    lambda_: float = field(default=1e-5, metadata={"name": "lambda"})
    sigmas: tuple[float, ...] = ()
    sigma_quantiles: tuple[float, ...] = (0.25, 0.5, 0.75)
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class AlarmPolicy:
    """When a run raises a warning or an alarm: expected chunks between false ones, and the statistic that decides."""

    expected_run_length: float = 1000.0
    warning_run_length: float = 100.0
    statistic: str = "t_score"
    false_alarm_probability: float = 0.01
    """alpha of the line log(1 / alpha) of log E."""


@dataclass(frozen=True, kw_only=True)
class Control:
    """Events counted elsewhere, in an exposure in the unit of the chunks'."""

    events: int
    exposure: float


@dataclass(frozen=True, kw_only=True)
class TemplateReference:
    """An alternative reference that is tolerated, in the version that the monitor has."""

    name: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """What difference raises no alarm: a floor on the effect size, and alternative references."""

    effect_size: float | None = None
    templates: tuple[TemplateReference, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """One monitor and its settings."""

    name: str
    epoch: int
    reference: str
    reference_hash: str
    features: tuple[str, ...]
    units: tuple[str, ...]
    mode: Literal["shape", "rate"]
    rate: float | None = None
    control: Control | None = None
    kernel: Kernel
    alarm: AlarmPolicy
    tolerance: Tolerance = field(default_factory=Tolerance)
    description: str = ""
    handling: Handling = field(default_factory=Handling)
    created_at: float
    changed_at: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """What accumulates together; `applied` and `dead` count its chunks in this epoch."""

    monitor: str
    name: str
    state: Literal["open", "closed"]
    epoch: int
    monitor_epoch: int
    accepted: int
    applied: int
    dead: int
    opened_at: float
    closed_at: float | None = None
    acknowledged: Acknowledgement | None = None


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """The promise given for one accepted chunk; `sequence` is its place in the run, from 1."""

    monitor: str
    run: str
    chunk: str
    run_epoch: int
    monitor_epoch: int
    sequence: int
    events: int
    digest: str
    exposure: float | None = None
    source_time: float | None = None
    accepted_at: float
    duplicate: bool = False
    """The chunk was accepted before; this is its first receipt."""


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One test statistic with its null, threshold and state; one that is invalid has no p-value.

    `null_quantiles` are those of the null in closed form at P(T <= q) = 0.00135, 0.025, 0.16, 0.5, 0.84, 0.975 and
    0.99865; empty where there is none.
    """

    kind: str
    value: float | None
    state: str
    p: float | None = None
    p_resolution: float | None = None
    z: float | None = None
    null_mean: float | None = None
    null_deviation: float | None = None
    null_quantiles: tuple[float, ...] = ()
    threshold: float | None = None
    warning_threshold: float | None = None
    p_threshold: float | None = None
    width: float | None = None
    sequence: int
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class RateTested:
    """The count of a run against what its exposure lets expect; no number where a chunk brought no exposure."""

    state: Literal["exact", "unknown"]
    observed: int | None = None
    expected: float | None = None
    p: float | None = None
    z: float | None = None
    p_threshold: float | None = None
    p_warning_threshold: float | None = None
    combined_p: float | None = None
    combined_z: float | None = None
    alarm: Alarm = field(default_factory=Alarm)
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class TemplateFraction:
    """How much of a template the data ask for."""

    name: str
    fraction: float


@dataclass(frozen=True, kw_only=True)
class ToleranceState:
    """What was tolerated after the last chunk; `reason` says why an alarm is withheld."""

    templates: tuple[TemplateFraction, ...] = ()
    effect_size: float | None = None
    withheld: bool = False
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class CalibrationUsed:
    """What p and thresholds of t_score are from at the present chunk; run lengths in chunks."""

    source: str
    run_length: float
    warning_run_length: float
    key: str
    toys: int = 0
    chunks: int = 0
    p_resolution: float | None = None
    disagreement: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All that is known of a run now; `features` is empty in a stream of snapshots."""

    monitor: str
    run: str
    run_epoch: int
    monitor_epoch: int
    reference_hash: str
    sequence: int
    chunks: int
    dead: int
    events: int
    expected: float
    exposure_ratio: float
    exposure_budget: float = 0.5
    pool_left: int | None = None
    pool_used: int = 0
    untested: int = 0
    statistics: dict[str, Statistic] = field(default_factory=dict)
    effect_size: EffectSize | None = None
    sigmas: tuple[float, ...] = ()
    winner: int = 0
    """Place in `sigmas` of the kernel width that wins; effect size and ratio are its own."""
    rate: RateTested | None = None
    tolerance: ToleranceState | None = None
    deciding: str | None = None
    calibration: CalibrationUsed | None = None
    alarm: Alarm = field(default_factory=Alarm)
    features: tuple[FeatureRatio, ...] = ()
    ratio_form: str = "mixture"
    updated_at: float
    last_accepted_at: float
    last_source_time: float | None = None


@dataclass(frozen=True, kw_only=True)
class Status:
    """A run, its snapshot (None before the first applied chunk), what waits, and who works."""

    run: Run
    snapshot: Snapshot | None = None
    pending: int
    trainers: int


@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """One chunk in the history of a run; a dead one has no statistics."""

    sequence: int
    chunk: str
    state: Literal["applied", "dead"]
    events: int
    exposure: float | None = None
    accepted_at: float
    applied_at: float
    fit_seconds: float | None = None
    trainer: str | None = None
    statistics: dict[str, Statistic] = field(default_factory=dict)
    alarm: AlarmLevel = "ok"
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class History:
    """A stretch of a run's history; go on with `since=history.next`."""

    entries: tuple[HistoryEntry, ...]
    next: int
    total: int
    downsampled: bool = False


@dataclass(frozen=True, kw_only=True)
class ChunkPlace:
    """Where a chunk is now; `entry` once it is in the history."""

    chunk: str
    run: str
    state: ChunkState
    receipt: Receipt
    entry: HistoryEntry | None = None


@dataclass(frozen=True, kw_only=True)
class Death:
    """A chunk given up, and why."""

    receipt: Receipt
    reason: str
    deliveries: int
    error: str
    died_at: float


@dataclass(frozen=True, kw_only=True)
class DensityRatio:
    """The learned density ratio of a run along each feature, of the kernel width that wins."""

    monitor: str
    run: str
    sequence: int
    form: str
    width: float | None
    features: tuple[FeatureRatio, ...]


@dataclass(frozen=True, kw_only=True)
class CalibrationPlan:
    """What is replayed; the pool's members are 0 or empty where the reference is split in its place."""

    source: Literal["disjoint", "fixed-reference"]
    toys: int
    chunks: int
    events: float
    seed: int = 0
    statistics: tuple[str, ...] = ("t_score",)
    pool_hash: str = ""
    pool_first: int = 0
    pool_events: int


@dataclass(frozen=True, kw_only=True)
class ToyCalibration:
    """A calibration by toys as it is now; `reason` says why it failed, was cancelled or is void."""

    monitor: str
    state: Literal["running", "complete", "failed", "cancelled", "void"]
    reason: str = ""
    monitor_epoch: int
    key: str
    reference_hash: str
    mode: Literal["shape", "rate"]
    plan: CalibrationPlan
    toys_needed: int
    toys_done: int
    run_length: float
    warning_run_length: float
    batches: int
    batches_done: int
    seconds_per_toy: float | None = None
    generation: int
    asked_at: float
    ended_at: float | None = None
    note: str = ""
    disagreement: str = ""


@dataclass(frozen=True, kw_only=True)
class CalibrationStatus:
    """A calibration by toys, and how many trainers are alive to work on it."""

    calibration: ToyCalibration
    trainers: int
