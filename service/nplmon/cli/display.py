"""The state of a run in words and tables, for `nplmon status` and `nplmon watch`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nplmon.cli.evidence import evidence_table, exposure_words, is_evidence, pool_words
from nplmon.cli.output import number, when
from nplmon.cli.tolerance import tolerance_words

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from nplmon.client import Alarm, CalibrationUsed, EffectSize, HistoryEntry, RateTested, Snapshot, Status

_BARS = "▁▂▃▄▅▆▇█"
_STYLES = {"ok": "green", "warning": "yellow", "alarm": "bold red"}
# Without news for this long while chunks wait, the numbers are old, in s.
STALE_SECONDS = 30.0
# Of so many features that differ most is told.
FEATURES = 5


def alarm_words(alarm: Alarm) -> str:
    """Say the state of the alarm.

    Examples
    --------
    >>> from nplmon.client import Alarm
    >>> alarm_words(Alarm())
    'ok: no alarm in this run'
    >>> alarm_words(Alarm(level="alarm", chunk="c7", sequence=7, rule="p = 1e-6 <= 1.8e-4"))
    'ALARM since chunk 7 (c7): p = 1e-6 <= 1.8e-4'
    """
    if alarm.level == "ok":
        return "ok: no alarm in this run"
    said = alarm.level.upper()
    if alarm.sequence is not None:
        said += f" since chunk {alarm.sequence}" + (f" ({alarm.chunk})" if alarm.chunk else "")
    if alarm.since is not None:
        said += f", {when(alarm.since)}"
    return f"{said}: {alarm.rule}" if alarm.rule else said


def effect_words(effect: EffectSize | None) -> str:
    """Say how large the difference is, with its uncertainty from noise.

    Examples
    --------
    >>> from nplmon.client import EffectSize
    >>> effect_words(EffectSize(value=0.121, null_mean=0.02, null_deviation=0.004, excess=0.101))
    '0.121, of which noise makes 0.02 ± 0.004: an excess of 0.101'
    >>> effect_words(EffectSize(value=None, null_mean=0.02, null_deviation=0.004, excess=None, note="overflow"))
    'none: overflow'
    """
    if effect is None:
        return "-"
    if effect.value is None:
        return f"none: {effect.note}"
    noise = f"{effect.null_mean:.2g} ± {effect.null_deviation:.1g}"
    return f"{effect.value:.3g}, of which noise makes {noise}: an excess of {effect.excess:.3g}"


def rate_words(rate: RateTested) -> str:
    """Say what the test of the rate found.

    Examples
    --------
    >>> from nplmon.client import RateTested
    >>> rate_words(RateTested(state="exact", observed=95, expected=120.0, p=0.021, z=-2.3, p_threshold=0.0005))
    'ok: 95 events for 120.0 expected, p = 0.021 (alarm at 0.0005), Z = -2.3'
    >>> rate_words(RateTested(state="unknown", note="chunk number 2 (b) brought no exposure"))
    'unknown: chunk number 2 (b) brought no exposure'
    """
    if rate.state == "unknown":
        return f"unknown: {rate.note}"
    said = f"{rate.alarm.level}: {rate.observed:,} events for {rate.expected:,.1f} expected"
    return (
        f"{said}, p = {number(rate.p, 3)} (alarm at {number(rate.p_threshold, 2)}), Z = {number(rate.z, 3)}"
    )


def calibration_words(used: CalibrationUsed) -> str:
    """Say what p and thresholds are from.

    Examples
    --------
    >>> from nplmon.client import CalibrationUsed
    >>> calibration_words(CalibrationUsed(source="closed form", run_length=1000, warning_run_length=100, key="k"))
    'closed form; a false alarm every 1000 chunks, a false warning every 100'
    """
    said = f"{used.toys:,} toys of {used.chunks} chunks" if used.source == "toys" else used.source
    said += (
        f"; a false alarm every {used.run_length:g} chunks, a false warning every {used.warning_run_length:g}"
    )
    return "; ".join(filter(None, (said, used.note, used.disagreement)))


def main_kind(snapshot: Snapshot) -> str | None:
    """Name the statistic that the alarm watches: that of the alarm, else the one that decides."""
    if snapshot.alarm.kind in snapshot.statistics:
        return snapshot.alarm.kind
    return snapshot.deciding or next(iter(snapshot.statistics), None)


def age_words(seconds: float, pending: int) -> str:
    """Say how old the numbers are, and whether that is too old.

    Examples
    --------
    >>> age_words(3.2, pending=1), age_words(100.0, pending=0)
    ('3 s ago', '100 s ago')
    >>> age_words(100.0, pending=2)
    '100 s ago: STALE, although 2 are pending'
    """
    said = f"{max(0.0, seconds):.0f} s ago"
    if seconds > STALE_SECONDS and pending:
        said += f": STALE, although {pending} {'is' if pending == 1 else 'are'} pending"
    return said


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """Draw the last values as bars between their least and largest.

    Examples
    --------
    >>> sparkline([0, 1, 2, 3])
    '▁▃▆█'
    """
    shown = [value for value in values if value == value][-width:]  # noqa: PLR0124  # NaN is unlike itself
    if not shown:
        return ""
    low, span = min(shown), max(shown) - min(shown) or 1.0
    return "".join(_BARS[min(7, int((value - low) / span * 7.999))] for value in shown)


def counts(status: Status, now: float) -> list[tuple[str, str]]:
    """Name the counts of a run with their values."""
    run, snapshot = status.run, status.snapshot
    fields = [
        ("run", f"{run.monitor}/{run.name}, {run.state}"),
        (
            "chunks",
            f"{run.applied} applied of {run.accepted} accepted, {run.dead} dead, {status.pending} pending",
        ),
        ("trainers", str(status.trainers)),
    ]
    if snapshot is None:
        return [*fields, ("statistic", "none yet: no chunk is applied")]
    rate = [("rate", rate_words(snapshot.rate))] if snapshot.rate is not None else []
    used = snapshot.calibration
    used_words = [] if used is None else [("calibration", calibration_words(used))]
    tolerance = snapshot.tolerance
    tolerated = [("tolerated", tolerance_words(tolerance))] if tolerance is not None else []
    return [
        *fields,
        ("events", f"{snapshot.events:,} ({snapshot.expected:,.1f} expected)"),
        ("exposure", exposure_words(snapshot)),
        ("pool", pool_words(snapshot)),
        *rate,
        ("effect size", effect_words(snapshot.effect_size)),
        *tolerated,
        *used_words,
        ("updated", age_words(now - snapshot.updated_at, status.pending)),
        ("alarm", alarm_words(snapshot.alarm)),
    ]


def statistics_table(snapshot: Snapshot) -> Table:
    """Tabulate the statistics: value, null, threshold, p and Z."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("statistic", "value", "sigma", "null mean ± sd", "threshold", "p", "Z", "state"):
        table.add_column(name)
    main = main_kind(snapshot)
    for kind, s in snapshot.statistics.items():
        if is_evidence(kind):
            continue
        null = "-" if s.null_mean is None else f"{number(s.null_mean)} ± {number(s.null_deviation)}"
        style = _STYLES[snapshot.alarm.level] if kind == main else None
        table.add_row(
            kind,
            number(s.value, 6),
            number(s.width, 3),
            null,
            number(s.threshold),
            number(s.p, 3),
            number(s.z, 3),
            f"{s.state}: {s.note}" if s.note else s.state,
            style=style,
        )
    return table


def features_table(snapshot: Snapshot, most: int = FEATURES) -> Table:
    """Tabulate the features that differ most: shift of the mean, and what they contribute beside noise."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("feature", "shift of the mean / sd", "95 % interval", "contribution", "of noise", "excess"):
        table.add_column(name)
    for one in sorted(snapshot.features, key=lambda feature: feature.rank)[:most]:
        known = one.contribution is not None
        interval = (
            "-" if one.shift_low is None else f"{number(one.shift_low, 3)} to {number(one.shift_high, 3)}"
        )
        table.add_row(
            one.name,
            number(one.shift, 3),
            interval,
            number(one.contribution, 3),
            f"{one.contribution_null_mean:.2g} ± {one.contribution_null_deviation:.1g}" if known else "-",
            "-" if one.contribution is None else number(one.contribution - one.contribution_null_mean, 3),
        )
    return table


def panel(status: Status, history: Sequence[HistoryEntry], now: float, trouble: str = "") -> RenderableType:
    """Lay out a run for a terminal; `trouble` says why the numbers may be old."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    level = status.snapshot.alarm.level if status.snapshot is not None else "ok"
    for name, value in counts(status, now):
        red = "STALE" in value or "OVER" in value
        style = _STYLES[level] if name == "alarm" else "bold red" if red else ""
        grid.add_row(Text(name, style="dim"), Text(value, style=style))
    parts: list[RenderableType] = [grid]
    if status.snapshot is not None:
        kind = main_kind(status.snapshot)
        parts += [Text(), statistics_table(status.snapshot)]
        evidence = evidence_table(status.snapshot)
        if evidence is not None:
            parts += [Text(), evidence]
        found = [e.statistics[kind].value for e in history if kind is not None and kind in e.statistics]
        values = [value for value in found if value is not None]
        if values:
            parts += [Text(), Text(f"{kind} of the last {len(values[-60:])} chunks  {sparkline(values)}")]
    if trouble:
        parts += [Text(), Text(trouble, style="bold red")]
    return Panel(Group(*parts), title=f"nplmon {status.run.monitor}", border_style=_STYLES[level])
