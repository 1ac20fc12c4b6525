"""How long to wait between tries: longer each time, and never in step with others."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Exponential, with jitter.

    Attributes
    ----------
    first, longest:
        Waits before jitter, in s.
    tries:
        In all, the first among them.
    patience:
        The longest wait that a receiver may ask for, in s.
    """

    first: float = 1.0
    longest: float = 60.0
    tries: int = 8
    patience: float = 600.0

    def wait(self, tried: int, asked: float | None = None) -> float:
        """Give the wait after so many tries, in s: between half and all of it, but no less than the receiver asked for.

        Examples
        --------
        >>> 4 <= Backoff().wait(4) <= 8, 30 <= Backoff().wait(9) <= 60, Backoff().wait(1, 120.0)
        (True, True, 120.0)
        """
        whole = min(self.first * 2.0 ** (tried - 1), self.longest)
        wait = whole * random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, hides nothing)
        return max(wait, min(asked or 0.0, self.patience))
