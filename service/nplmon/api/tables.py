"""Tables: events as they came, before features are chosen from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nplmon.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Float32 = np.dtype("<f4")
Float64 = np.dtype("<f8")


class Table(Protocol):
    """Events by columns; `names` is None where the body names no columns."""

    @property
    def names(self) -> tuple[str, ...] | None:
        """Column names in order, if the body gave any."""

    @property
    def width(self) -> int:
        """Number of columns."""

    def __len__(self) -> int:
        """Give the number of events."""

    def take(self, columns: Sequence[int]) -> NDArray[np.float32]:
        """Give these columns as float32 (N, len(columns)), row major, little-endian."""

    def column(self, index: int) -> NDArray[np.float64]:
        """Give one column as float64 (N,)."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Events as one two-dimensional array of any float type, order and byte order."""

    values: NDArray[np.floating]
    names: tuple[str, ...] | None = None

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.values.shape[1])

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def take(self, columns: Sequence[int]) -> NDArray[np.float32]:
        """Give these columns as float32; the whole array in its own order is not copied if it need not be."""
        whole = list(columns) == list(range(self.width))
        chosen = self.values if whole else self.values[:, list(columns)]
        # What overflows becomes infinite and is found by `finite`.
        with np.errstate(over="ignore", invalid="ignore"):
            return np.ascontiguousarray(chosen, dtype=Float32)

    def column(self, index: int) -> NDArray[np.float64]:
        """Give one column as float64 (N,)."""
        return self.values[:, index].astype(Float64)


@dataclass(frozen=True, slots=True)
class Columns:
    """Events as named one-dimensional arrays of equal length."""

    values: tuple[NDArray[np.number], ...]
    names: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.values)

    def __len__(self) -> int:
        return len(self.values[0]) if self.values else 0

    def take(self, columns: Sequence[int]) -> NDArray[np.float32]:
        """Give these columns as float32 (N, len(columns))."""
        chosen = np.empty((len(self), len(columns)), dtype=Float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for place, column in enumerate(columns):
                chosen[:, place] = self.values[column]
        return chosen

    def column(self, index: int) -> NDArray[np.float64]:
        """Give one column as float64 (N,)."""
        return self.values[index].astype(Float64)


def chosen_events(
    table: Table, features: Sequence[str], names: tuple[str, ...] | None
) -> NDArray[np.float32]:
    """Choose `features` from a table and check them.

    Parameters
    ----------
    table:
        The body's events.
    features:
        What is wanted, in this order.
    names:
        The columns' names; None: the columns are `features` in order.

    Returns
    -------
    numpy.ndarray
        float32 (N, d), row major, little-endian, finite.

    Raises
    ------
    Problem
        `no-events`, `shape` (wrong number of columns), `features` (one is missing), `not-finite`.
    """
    if len(table) == 0:
        raise Problem(
            "no-events", "The body has 0 events.", field="events", value=0, remedy="Send at least one event."
        )
    expected = len(features) if names is None else len(names)
    if table.width != expected:
        named = ", ".join(features if names is None else names)
        raise Problem(
            "shape",
            f"The events have {table.width} columns, but {expected} features are expected: {named}.",
            field="events",
            value=f"({len(table)}, {table.width})",
            remedy=f"Send {expected} columns, or name the columns with ?features=a,b,c.",
        )
    columns = list(range(expected)) if names is None else [_place(feature, names) for feature in features]
    events = table.take(columns)
    check_finite(events, features)
    return events


def check_finite(events: NDArray[np.float32], features: Sequence[str]) -> None:
    """Refuse events with a value that is not finite.

    Raises
    ------
    Problem
        `not-finite`, naming the first such value's feature and row (counted from 0).
    """
    finite = np.isfinite(events)
    if finite.all():
        return
    row, column = (int(place) for place in np.unravel_index(int(np.argmin(finite)), finite.shape))
    value = float(events[row, column])
    raise Problem(
        "not-finite",
        f"The feature {features[column]!r} is {value} in row {row} (counted from 0), as float32.",
        field=features[column],
        value=f"{value} in row {row}",
        remedy="Drop or repair such events before sending; values must be finite and below 3.4e38.",
    )


def _place(feature: str, names: tuple[str, ...]) -> int:
    if feature not in names:
        raise Problem(
            "features",
            f"The feature {feature!r} is missing; the body has {', '.join(names[:20])}.",
            field=feature,
            value=", ".join(names),
            remedy=f"Send a column named {feature!r}.",
        )
    return names.index(feature)
