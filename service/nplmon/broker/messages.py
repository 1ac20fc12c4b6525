"""What is said over Redis: typed, immutable messages, encoded as JSON (metadata) or MessagePack (fits).

Times are Unix seconds in UTC (float64). Sequence numbers count from 1 within one epoch of a run and have no gaps.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from nplmon.broker.alarm_messages import Acknowledgement, Handling
from nplmon.broker.findings import AnomalousEvent, EffectSize, FeatureRatio, PairMap
from nplmon.broker.judgement import CalibrationUsed, ToleranceState
from nplmon.broker.message import AlarmLevel, Message

Mode = Literal["shape", "rate"]
ChunkState = Literal["queued", "leased", "fitted", "applied", "dead", "superseded"]
StatisticKind = Literal[
    "t_chunk", "t_agg", "t_ref", "t_score", "t_sum", "t_profiled",
    "log_e", "log_sr", "log_cusum", "log_e_poisson", "log_sr_poisson", "log_cusum_poisson",
]  # fmt: skip
StatisticState = Literal["calibrated", "closed form", "exact", "frozen", "stopped", "uncalibrated", "invalid"]
AlarmStatistic = Literal["t_score", "log_sr", "log_cusum"]


class Reference(Message, frozen=True, kw_only=True):
    """An immutable reference sample; the events are stored beside it, in pieces."""

    name: str
    hash: str
    """SHA-256 (hex) over features, units, events and weights: what a version is."""
    features: tuple[str, ...]
    units: tuple[str, ...]
    """One per feature, "" where the feature has no unit."""
    events: int
    weighted: bool
    sum_weights: float
    effective_events: float
    """N_eff = V^2 / sum v^2."""
    means: tuple[float, ...]
    standard_deviations: tuple[float, ...]
    minima: tuple[float, ...]
    maxima: tuple[float, ...]
    created_at: float


class KernelSettings(Message, frozen=True, kw_only=True):
    """Settings of the `kernel` model (STATISTICS: sections 2 and 3)."""

    centres: int = 1000
    """M, Nystrom centres drawn from the reference."""
    lambda_: float = msgspec.field(default=1e-5, name="lambda")
    sigmas: tuple[float, ...] = ()
    """Kernel widths in reference standard deviations, increasing; none: taken from `sigma_quantiles`."""
    sigma_quantiles: tuple[float, ...] = (0.25, 0.5, 0.75)
    """Quantiles of the reference's pair distances that give the widths, increasing."""
    seed: int = 0


class AlarmPolicy(Message, frozen=True, kw_only=True):
    """When a run raises a warning or an alarm: how many chunks pass on average between false ones.

    After each chunk the threshold is such that, of the runs under H0 that raised no alarm before, the share
    1 / `expected_run_length` raises one.
    """

    expected_run_length: float = 1000.0
    """Of alarms, in chunks."""
    warning_run_length: float = 100.0
    """Of warnings, in chunks; no longer than that of alarms."""
    statistic: AlarmStatistic = "t_score"
    """What decides: t_score by p, or an e-detector, exact for any reference as long as there is a pool."""
    false_alarm_probability: float = 0.01
    """alpha of the line log(1 / alpha), which log E crosses in a whole run with at most this probability."""


class Control(Message, frozen=True, kw_only=True):
    """Events counted elsewhere, which say what rate to expect, with their own Poisson error."""

    events: int
    exposure: float
    """In the unit of the chunks' exposures."""


class TemplateReference(Message, frozen=True, kw_only=True):
    """An alternative reference that is tolerated, in the version that the monitor has."""

    name: str
    hash: str


class ToleranceSettings(Message, frozen=True, kw_only=True):
    """What difference from the reference raises no alarm."""

    effect_size: float | None = None
    """Floor: an alarm needs an effect size that exceeds its expectation by more; None for no floor."""
    templates: tuple[TemplateReference, ...] = ()
    """With templates t_profiled decides: t_score's minimum over their convex mixtures with the reference."""


class Monitor(Message, frozen=True, kw_only=True):
    """One monitor at one epoch: all that its statistics depend on."""

    name: str
    epoch: int
    reference: str
    reference_hash: str
    features: tuple[str, ...]
    units: tuple[str, ...]
    mode: Mode = "shape"
    rate: float | None = None
    """Expected events per unit of exposure; needed in mode "rate". In mode "shape" the rate is tested apart."""
    control: Control | None = None
    """In mode "shape", in place of a known rate."""
    kernel: KernelSettings = KernelSettings()
    alarm: AlarmPolicy = AlarmPolicy()
    tolerance: ToleranceSettings = ToleranceSettings()
    description: str = ""
    handling: Handling = Handling()
    created_at: float
    changed_at: float


def expected_rate(monitor: Monitor) -> float:
    """Give the events to expect per unit of exposure; 0 where nothing says."""
    if monitor.control is not None:
        return monitor.control.events / monitor.control.exposure
    return monitor.rate or 0.0


def tests_rate(monitor: Monitor) -> bool:
    """Tell whether the rate is tested apart from the shape: then either has twice the run length, for hazards add."""
    return monitor.mode == "shape" and (monitor.rate is not None or monitor.control is not None)


def run_lengths(monitor: Monitor) -> tuple[float, float]:
    """Give the expected run lengths of alarms and of warnings by the shape, in chunks.

    Beside a test of the rate they are doubled, for hazards add: two tests with twice the run length each have the run
    length that was asked for together.
    """
    share = 2 if tests_rate(monitor) else 1
    return share * monitor.alarm.expected_run_length, share * monitor.alarm.warning_run_length


class Run(Message, frozen=True, kw_only=True):
    """What accumulates together: an LHC run, a fill, a shift."""

    monitor: str
    name: str
    state: Literal["open", "closed"]
    epoch: int
    """Grows with every reset; results of an older epoch are superseded."""
    monitor_epoch: int
    accepted: int
    """Chunks accepted in this epoch: the last sequence number given."""
    applied: int
    """Chunks applied to the statistic, dead ones not counted."""
    dead: int
    opened_at: float
    """When this epoch began: by the first chunk, or by the reset."""
    closed_at: float | None = None
    acknowledged: Acknowledgement | None = None
    """The last one given; in force while the alarm is still the one that it names."""


class Receipt(Message, frozen=True, kw_only=True):
    """The promise given for one accepted chunk; also the body of a work entry."""

    monitor: str
    run: str
    chunk: str
    run_epoch: int
    monitor_epoch: int
    sequence: int
    events: int
    digest: str
    """BLAKE3 (hex) of payload and features: what makes a repeated id the same chunk or a conflict."""
    exposure: float | None = None
    source_time: float | None = None
    accepted_at: float


def expected_events(monitor: Monitor, receipt: Receipt) -> float:
    """Give lam_k, the events expected under H0: the count itself in mode "shape", rate x exposure in mode "rate".

    Raises
    ------
    ValueError
        If mode "rate" lacks the monitor's rate or the chunk's exposure.
    """
    if monitor.mode == "shape":
        return float(receipt.events)
    if monitor.rate is None or receipt.exposure is None:
        raise ValueError(
            f"chunk {receipt.chunk!r} was accepted without an exposure: "
            "a rate-aware monitor needs a rate, and each chunk an exposure"
        )
    return monitor.rate * receipt.exposure


class WidthFit(Message, frozen=True, kw_only=True):
    """The fit of one chunk with one kernel width: coefficients in the eigenbasis of that width, and its statistic."""

    coefficients: bytes
    """float64, little-endian, shape (r,)."""
    score: bytes
    """float64, little-endian, shape (r,): sum_D psi - w sum_R v psi."""
    t_chunk: float
    iterations: int
    decrement: float
    """Newton decrement at the end, in units of t: the resolution of `t_chunk`."""


class Fit(Message, frozen=True, kw_only=True):
    """The result of one chunk: one fit for each kernel width of the monitor, in their order."""

    receipt: Receipt
    widths: tuple[WidthFit, ...]
    fit_seconds: float
    """Of all widths together."""
    trainer: str
    device: str
    finished_at: float


class Death(Message, frozen=True, kw_only=True):
    """A chunk given up after too many deliveries; takes its place in the sequence, so that nothing waits for it."""

    receipt: Receipt
    reason: Literal["crash", "exception"]
    deliveries: int
    error: str
    died_at: float


class Statistic(Message, frozen=True, kw_only=True):
    """One test statistic with its null, its threshold and its state. Nothing that is invalid carries a p-value.

    With several kernel widths value, null and thresholds are those of the width with the smallest p-value, `width`;
    p and Z are joint: they account for the choice.
    """

    kind: StatisticKind
    value: float | None
    """None where it is invalid."""
    state: StatisticState
    p: float | None = None
    p_resolution: float | None = None
    """The smallest p that its calibration can tell; None where there is no such limit."""
    z: float | None = None
    """One-sided Gaussian significance of p, in standard deviations."""
    null_mean: float | None = None
    null_deviation: float | None = None
    null_quantiles: tuple[float, ...] = ()
    """Where the value lies under H0: quantiles at `NULL_LEVELS` of the null of the width shown, in closed form whatever
    p is from; empty where no null is known."""
    threshold: float | None = None
    """The value at which an alarm is due at this number of chunks, whether this kind decides or not; None without a run
    length."""
    warning_threshold: float | None = None
    p_threshold: float | None = None
    """The p at which an alarm is due at this number of chunks, joint over the widths as p is; None without a
    threshold, and for what is not judged by p."""
    width: float | None = None
    """Kernel width of the value, in reference standard deviations; None where it belongs to none."""
    sequence: int
    """The last chunk that is in `value`."""
    note: str = ""


class Alarm(Message, frozen=True, kw_only=True):
    """The alarm of a run: latched, never reset silently."""

    level: AlarmLevel = "ok"
    kind: StatisticKind | Literal["rate"] | None = None
    """What fired: a statistic, or the test of the rate."""
    chunk: str | None = None
    sequence: int | None = None
    since: float | None = None
    rule: str = ""
    """The rule that fired, with its numbers, in words."""


class HistoryEntry(Message, frozen=True, kw_only=True):
    """One chunk in the history of a run; entry number `sequence - 1`."""

    sequence: int
    chunk: str
    state: Literal["applied", "dead"]
    events: int
    exposure: float | None
    accepted_at: float
    applied_at: float
    fit_seconds: float | None = None
    trainer: str | None = None
    statistics: dict[str, Statistic] = msgspec.field(default_factory=dict)
    """By kind; empty for a dead chunk."""
    alarm: AlarmLevel = "ok"
    error: str = ""


class RateTested(Message, frozen=True, kw_only=True):
    """The number of events of a run against what its exposure lets expect, apart from the shape."""

    state: Literal["exact", "unknown"]
    """Unknown, without a number, where a chunk brought no exposure."""
    observed: int | None = None
    expected: float | None = None
    p: float | None = None
    """Two-sided, exact."""
    z: float | None = None
    """Its significance, positive for too many events."""
    p_threshold: float | None = None
    """The p at which the rate's alarm fires at this number of chunks."""
    p_warning_threshold: float | None = None
    combined_p: float | None = None
    """Of shape and rate: the smaller p, corrected for having been chosen of two."""
    combined_z: float | None = None
    alarm: Alarm = Alarm()
    """Of the rate alone, latched."""
    note: str = ""


class Snapshot(Message, frozen=True, kw_only=True):
    """All that a reader may want of one run now; written by the aggregator in the transaction of its state."""

    monitor: str
    run: str
    run_epoch: int
    monitor_epoch: int
    reference_hash: str
    sequence: int
    """The last sequence number applied (dead ones included)."""
    chunks: int
    dead: int
    events: int
    expected: float
    """Lambda, the sum of the chunks' expected counts."""
    exposure_ratio: float
    """Lambda / N_eff of the reference."""
    exposure_budget: float = 0.5
    """Exposure ratio past which what takes the reference for H0 itself is invalid."""
    pool_left: int | None = None
    """Events of the reference's pool that the monitor has not used; None without a pool."""
    pool_used: int = 0
    """Events of the pool that this run has used."""
    untested: int = 0
    """Events of this run that the exact e-process left out because the pool was empty."""
    statistics: dict[str, Statistic] = msgspec.field(default_factory=dict)
    """By kind: t_chunk (the last chunk), t_agg, t_ref, t_score, t_sum, with templates t_profiled, and the e-processes'
    log_e and its like."""
    effect_size: EffectSize | None = None
    sigmas: tuple[float, ...] = ()
    """The monitor's kernel widths, in reference standard deviations, in the order of the fits."""
    winner: int = 0
    """Which of them wins in the statistic that decides on the alarm; the averaged ratio that is shown is its own."""
    rate: RateTested | None = None
    """Where the monitor's rate is tested apart from the shape."""
    tolerance: ToleranceState | None = None
    """None where the monitor tolerates nothing."""
    deciding: StatisticKind | None = None
    """The statistic that raises warnings and alarms."""
    calibration: CalibrationUsed | None = None
    """None before the first chunk."""
    alarm: Alarm = Alarm()
    features: tuple[FeatureRatio, ...] = ()
    anomalous: tuple[AnomalousEvent, ...] = ()
    """The most anomalous first."""
    pair: PairMap | None = None
    """The two features that differ most together."""
    ratio_form: Literal["mixture", "projection"] = "mixture"
    log_normalisation: float = 0.0
    """Of the mixture: log of its mean over the reference in mode "shape", 0 in mode "rate"; subtracted."""
    updated_at: float
    last_accepted_at: float
    last_source_time: float | None = None


class Worker(Message, frozen=True, kw_only=True):
    """The sign of life of one process; it expires by itself."""

    name: str
    role: Literal["trainer", "aggregator"]
    device: str
    host: str
    pid: int
    metrics_port: int
    started_at: float
    seen_at: float
    chunks: int = 0
    chunks_per_second: float | None = None
    """Over the last minute, or since the start where that is later; None at the first sign of life."""
    monitor_count: int = 0
