"""Findings: how large a difference is, and where, as light frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FeatureRatio:
    """Data, reference and learned density ratio in the bins of one feature.

    `contribution` is the divergence of the learned ratio, beside what noise makes of it; `rank` 1 is the feature
    whose contribution exceeds that of noise most. What overflows is None.
    """

    name: str
    unit: str
    edges: tuple[float, ...]
    data: tuple[float, ...]
    reference: tuple[float, ...]
    reference_error: tuple[float, ...]
    learned: tuple[float | None, ...]
    shift: float
    shift_error: float | None = None
    shift_low: float | None = None
    shift_high: float | None = None
    contribution: float | None = None
    contribution_null_mean: float = 0.0
    contribution_null_deviation: float = 0.0
    rank: int = 1


@dataclass(frozen=True, kw_only=True)
class EffectSize:
    """Reference mean of |averaged density ratio - 1|, beside what noise makes of it; None where it overflows."""

    value: float | None
    null_mean: float
    null_deviation: float
    excess: float | None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class AnomalousEvent:
    """One event that is unlike the reference: its place, values, and averaged log ratio (None: it overflows)."""

    chunk: str
    sequence: int
    row: int
    log_ratio: float | None
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class PairMap:
    """Data, reference and learned ratio in the cells of two features; rows run along x.

    `excess` is chi^2 of data and reference less its mean, in its standard deviations. What overflows is None.
    """

    x: str
    y: str
    x_edges: tuple[float, ...]
    y_edges: tuple[float, ...]
    data: tuple[tuple[int, ...], ...]
    reference: tuple[tuple[float, ...], ...]
    learned: tuple[tuple[float | None, ...], ...]
    excess: float


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where the data of a run differ: features in order, the most anomalous events, and a map of two features."""

    monitor: str
    run: str
    sequence: int
    features: tuple[str, ...]
    """In the order of the events' values."""
    ranked: tuple[str, ...]
    """The one that differs most first."""
    anomalous: tuple[AnomalousEvent, ...] = ()
    pair: PairMap | None = None
