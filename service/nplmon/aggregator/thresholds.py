"""The calibration in closed form of a monitor's runs: what it depends on, and how it is computed."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Final

from nplmon.nplm.calibration import Calibration
from nplmon.nplm.level_process import cross_moments

if TYPE_CHECKING:
    from nplmon.broker.messages import Mode
    from nplmon.prepared import Prepared

FORMAT: Final = 1
"""Part of every name: raised when the same settings give other thresholds."""
GRID: Final = 1.25
"""Ratio of two sizes of chunks that have their own thresholds; they hold within a factor of 2."""


def typical(expected: float) -> float:
    """Round the expected count of a run's first chunk to a geometric grid: runs of like chunks share thresholds.

    Examples
    --------
    >>> typical(1000.0) == typical(1050.0) < typical(1200.0), round(typical(1000.0))
    (True, 1010)
    """
    return float(GRID ** round(math.log(expected, GRID)))


def name_of(prepared: Prepared, mode: Mode, expected: float, run_lengths: tuple[float, float]) -> str:
    """Give the hash (hex) of all that a calibration in closed form depends on."""
    bases = [width.basis for width in prepared.widths]
    depends = [
        FORMAT,
        [[basis.digest, basis.lambda_, basis.events, basis.effective_events] for basis in bases],
        mode,
        expected,
        run_lengths,
    ]
    return hashlib.sha256(json.dumps(depends).encode()).hexdigest()[:32]


def closed_form(
    prepared: Prepared, mode: Mode, expected: float, run_lengths: tuple[float, float]
) -> Calibration:
    """Compute the calibration; a matter of seconds, and the same for the same settings.

    Parameters
    ----------
    prepared:
        The monitor's reference.
    mode:
        "shape" or "rate".
    expected:
        lam of a chunk, from `typical`.
    run_lengths:
        Of alarm and warning, in chunks.
    """
    moments = None
    if len(prepared.widths) > 1:
        moments = cross_moments([width.features for width in prepared.widths], prepared.reference.v)
    alarm, warning = run_lengths
    return Calibration.closed_form(
        [width.basis for width in prepared.widths],
        mode,
        expected,
        run_length=alarm,
        warning_run_length=warning,
        moments=moments,
        key=name_of(prepared, mode, expected, run_lengths),
    )
