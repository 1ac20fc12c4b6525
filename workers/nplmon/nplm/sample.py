"""A sample of events with weights, as it travels: safetensors bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import safetensors.numpy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """Events of a reference.

    Attributes
    ----------
    events:
        float32 (N, d), in feature units.
    weights:
        v >= 0, float64 (N,), or None for 1 each.

    Examples
    --------
    >>> body = safetensors.numpy.save({"events": np.arange(6, dtype=np.float32).reshape(3, 2)})
    >>> Sample.from_bytes(body).columns([1]).events.tolist()
    [[1.0], [3.0], [5.0]]
    """

    events: NDArray[np.float32]
    weights: NDArray[np.float64] | None = None

    @classmethod
    def from_bytes(cls, body: bytes) -> Sample:
        """Read the tensors `events` and, where there are any, `weights`."""
        arrays = safetensors.numpy.load(body)
        return cls(arrays["events"], arrays.get("weights"))

    def columns(self, indices: Sequence[int]) -> Sample:
        """Choose and order features."""
        return Sample(np.ascontiguousarray(self.events[:, list(indices)]), self.weights)
