"""Tolerance: what mixture of templates the data ask for, and whether a small effect withholds an alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from nplmon.aggregator.part import Applied, Part
from nplmon.broker.judgement import TemplateFraction, ToleranceState
from nplmon.nplm.effect import effect_size
from nplmon.nplm.templates import RunScore

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from nplmon.broker.messages import Alarm, Monitor, Snapshot
    from nplmon.nplm.aggregation import Aggregation
    from nplmon.nplm.effect import EffectSize
    from nplmon.nplm.templates import Tolerance


def run_effect(run: Aggregation, log_ratio: NDArray[np.float64]) -> EffectSize:
    """Give the effect size of a run with at least one chunk.

    Parameters
    ----------
    run:
        Its aggregation.
    log_ratio:
        log rbar at the reference events, float64 (N_R,).
    """
    h, h_squared = run.shrinkage_means
    return effect_size(
        run.basis,
        run.reference_features,
        run.weights,
        log_ratio,
        mode=run.mode,
        expected=run.expected,
        h=h,
        h_squared=h_squared,
    )


class Tolerated(Part):
    """What is tolerated of one run; it follows from the aggregation, but for what was withheld last.

    Parameters
    ----------
    monitor:
        The monitor.
    tolerances:
        One for each kernel width; none without templates.
    """

    name = "tolerance"

    def __init__(self, monitor: Monitor, tolerances: Sequence[Tolerance]) -> None:
        self._settings = monitor.tolerance
        self._tolerances = {id(one.basis): one for one in tolerances}
        self._reason = ""

    def add(self, chunk: Applied) -> None:
        """Take in nothing."""

    def to_bytes(self) -> bytes:
        """Serialise the reason, for a chunk that is given up shows it again."""
        return self._reason.encode()

    def restore(self, body: bytes) -> None:
        """Continue from what `to_bytes` gave."""
        self._reason = body.decode()

    def decided(self, present: Alarm, risen: Alarm, run: Aggregation) -> Alarm:
        """Give the alarm, or the present one where the effect is no larger than the floor.

        Parameters
        ----------
        present, risen:
            The alarm before and after the last chunk, as the policy has it.
        run:
            The aggregation of the width that decides.
        """
        floor, self._reason = self._settings.effect_size, ""
        if floor is None or risen == present:
            return risen
        effect = run_effect(run, run.log_ratio())
        # An overflow is as large as an effect can be.
        if not effect.excess <= floor:
            return risen
        self._reason = (
            f"{risen.level} withheld: the effect size {effect.value:.3g} exceeds its expectation "
            f"{effect.null_mean:.3g} by {effect.excess:.3g}, no more than the floor {floor:.3g}; {risen.rule}"
        )
        return present

    def shown(self, snapshot: Snapshot, run: Aggregation, log_ratio: NDArray[np.float64]) -> Snapshot:
        """Give the snapshot with the mixture, the floor and what is withheld."""
        del log_ratio  # the mixture follows from the scores
        floor, templates = self._settings.effect_size, self._settings.templates
        if floor is None and not templates:
            return snapshot
        fractions: tuple[TemplateFraction, ...] = ()
        if templates:
            found = self._tolerances[id(run.basis)].profiled(RunScore.of(run), chunks=run.chunks)
            fractions = tuple(
                TemplateFraction(name=template.name, fraction=fraction)
                for template, fraction in zip(templates, found.fractions.tolist(), strict=True)
            )
        return msgspec.structs.replace(
            snapshot,
            tolerance=ToleranceState(
                templates=fractions, effect_size=floor, withheld=bool(self._reason), reason=self._reason
            ),
        )
