"""The reference sample: what every chunk is compared with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import safetensors.numpy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Reference:
    """Events that stand for H0, with weights.

    Attributes
    ----------
    events:
        (N_R, d), in feature units; float32, as a monitor keeps them, or float64.
    weights:
        v >= 0, float64 (N_R,), or None for 1 each.

    Raises
    ------
    ValueError
        If the shapes do not fit, an event is not finite, or a weight is negative or not finite.

    Examples
    --------
    >>> reference = Reference(np.arange(6, dtype=np.float32).reshape(3, 2))
    >>> Reference.from_bytes(reference.to_bytes()).columns([1]).events.tolist()
    [[1.0], [3.0], [5.0]]
    >>> reference.sum_weights, reference.effective_events
    (3.0, 3.0)
    """

    events: NDArray[np.floating]
    weights: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "events", np.asarray(self.events))
        if self.events.ndim != 2 or not self.events.size:
            raise ValueError(
                f"reference events of shape {self.events.shape}: give (N_R, d), neither of them 0"
            )
        if not np.isfinite(self.events).all():
            bad = int(np.flatnonzero(~np.isfinite(self.events).all(axis=1))[0])
            raise ValueError(
                f"reference event {bad} is not finite: {self.events[bad].tolist()}; remove such events"
            )
        if self.weights is None:
            return
        if self.weights.shape != (len(self.events),):
            raise ValueError(
                f"weights of shape {self.weights.shape} for {len(self.events)} events: give one for each"
            )
        good = np.isfinite(self.weights) & (self.weights >= 0)
        if not good.all():
            bad = int(np.argmin(good))
            raise ValueError(
                f"the weight of event {bad} is {self.weights[bad]}: give finite ones, not negative"
            )
        if not self.weights.any():
            raise ValueError("all weights are 0: give at least one event a weight")

    @property
    def v(self) -> NDArray[np.float64]:
        """The weights, float64 (N_R,): 1 for each event where none are given."""
        return np.ones(len(self.events)) if self.weights is None else self.weights

    def weighted(self) -> Reference:
        """Leave out events of weight 0: they may be anywhere, and e^f there could overflow."""
        if self.weights is None:
            return self
        return Reference(self.events[self.weights > 0], self.weights[self.weights > 0])

    @property
    def sum_weights(self) -> float:
        """V, the sum of the weights."""
        return float(len(self.events)) if self.weights is None else float(self.weights.sum())

    @property
    def effective_events(self) -> float:
        """N_eff = V^2 / sum v^2."""
        if self.weights is None:
            return float(len(self.events))
        return self.sum_weights**2 / float(self.weights @ self.weights)

    @property
    def content_hash(self) -> str:
        """SHA-256 of events and weights, hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def columns(self, indices: Sequence[int]) -> Reference:
        """Choose and order features."""
        return Reference(np.ascontiguousarray(self.events[:, list(indices)]), self.weights)

    def to_bytes(self) -> bytes:
        """Serialise with safetensors: the tensors `events` and, where there are any, `weights`."""
        arrays = {"events": np.ascontiguousarray(self.events)}
        return safetensors.numpy.save(arrays if self.weights is None else arrays | {"weights": self.weights})

    @classmethod
    def from_bytes(cls, body: bytes) -> Reference:
        """Read what `to_bytes` wrote.

        Raises
        ------
        safetensors.SafetensorError
            If the bytes are not a safetensors file.
        """
        arrays = safetensors.numpy.load(body)
        return cls(arrays["events"], arrays.get("weights"))
