"""Findings: how large a difference is, and where, as a snapshot tells it."""

from __future__ import annotations

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all findings, which are parts of messages and as strict."""


class FeatureRatio(Finding, frozen=True, kw_only=True):
    """Data, reference and learned density ratio along one feature."""

    name: str
    unit: str
    edges: tuple[float, ...]
    """Bin edges in the feature's unit; values outside are counted in the first and last bin."""
    data: tuple[float, ...]
    """Events per bin."""
    reference: tuple[float, ...]
    """Expected events per bin, the reference scaled to the run."""
    reference_error: tuple[float, ...]
    """Its statistical uncertainty from the finite reference (one standard deviation)."""
    learned: tuple[float | None, ...]
    """Averaged density ratio, mean over the reference in the bin; None where it overflows."""
    shift: float
    """(data mean - reference mean) / reference standard deviation."""
    shift_error: float | None = None
    """Its standard error, from the spread of both samples; None for a single event."""
    shift_low: float | None = None
    shift_high: float | None = None
    """The 95 % interval of the shift, of this feature by itself."""
    contribution: float | None = None
    """Divergence of the learned ratio in the bins, in the units of t; None where it overflows."""
    contribution_null_mean: float = 0.0
    """What noise alone makes of it, on average."""
    contribution_null_deviation: float = 0.0
    rank: int = 1
    """1: the feature whose contribution exceeds that of noise most."""


class EffectSize(Finding, frozen=True, kw_only=True):
    """How large a difference is, beside how significant."""

    value: float | None
    """Weighted mean over the reference of |averaged ratio - 1|; None where the ratio overflows."""
    null_mean: float
    """What noise alone makes of it, on average."""
    null_deviation: float
    excess: float | None
    """value - null_mean: 0 on average without a difference."""
    note: str = ""


class AnomalousEvent(Finding, frozen=True, kw_only=True):
    """One event of a run that is unlike the reference."""

    chunk: str
    sequence: int
    row: int
    """Its place in the chunk, from 0."""
    log_ratio: float | None
    """The averaged log ratio there: the mean of the chunks' log ratios; None where the ratio overflows."""
    values: tuple[float, ...]
    """In the features' units and order."""


class PairMap(Finding, frozen=True, kw_only=True):
    """Data, reference and learned ratio in the cells of two features; rows run along x, columns along y."""

    x: str
    y: str
    x_edges: tuple[float, ...]
    y_edges: tuple[float, ...]
    """In the features' units; values outside are counted in the outermost cells."""
    data: tuple[tuple[int, ...], ...]
    """Events per cell."""
    reference: tuple[tuple[float, ...], ...]
    """Expected events per cell."""
    learned: tuple[tuple[float | None, ...], ...]
    """Averaged density ratio, mean over the reference in the cell, 1 without any; None where it overflows."""
    excess: float
    """chi^2 of data and reference in the cells, less its mean, in its standard deviations; the largest of all pairs."""
