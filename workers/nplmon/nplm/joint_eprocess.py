r"""E-processes of several kernel widths at once: the same coins and pool events for all, and their mean.

With :math:`E_n^{(i)}` the e-process of width i, and S and M its e-detectors,

.. math:: E_n = \frac{1}{W} \sum_i E_n^{(i)}, \qquad S_n = \frac{1}{W} \sum_i S_n^{(i)},
   \qquad M_n = \frac{1}{W} \sum_i M_n^{(i)} .

Each :math:`E^{(i)}` has mean 1 after every chunk, with respect to the same past, so their mean has; and
:math:`S_n - n` has mean at most 0, so that an alarm at A keeps its mean run length of at least A chunks. Equal to a
product of e-values :math:`e_n = \sum_i w_i e_n^{(i)}` with the predictable weights
:math:`w_i \propto E_{n-1}^{(i)}`: a width that has won so far bets more, and in the end W widths cost no more than
log W against the best of them. (A mean with equal weights in every chunk would be valid as well; it grows with the
mean of what the widths find, for ever.)

numpy and safetensors only.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import safetensors.numpy

from nplmon.nplm.eprocess import ChunkEvidence, EProcess, asked
from nplmon.nplm.errors import StateError
from nplmon.nplm.evidence import Evidence
from nplmon.nplm.predictable_ratio import LARGEST_COEFFICIENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis

FORMAT: Final = "nplmon-joint-eprocess-1"


class JointEProcess:
    """The e-processes and e-detectors of one run with one or more kernel widths.

    Parameters
    ----------
    widths:
        For each width its eigenbasis and psi at the reference events, float32 (N_R, r).
    weights, mode, chunk_share, memory, model_cap:
        As for `EProcess`.

    Raises
    ------
    ValueError
        If there is no width, or a setting is out of its range.

    Examples
    --------
    >>> from nplmon.nplm.preparation import prepare
    >>> rng = np.random.default_rng(0)
    >>> reference, pool = rng.normal(size=(5_000, 1)), rng.normal(size=(2_000, 1))
    >>> bases = [prepare(reference, centres=50, sigma=sigma) for sigma in (0.5, 1.0)]
    >>> joint = JointEProcess([(basis, basis.features(reference)) for basis in bases], None, "shape")
    >>> for chunk in range(2):
    ...     models = [np.full(basis.size, 0.01) for basis in bases]
    ...     events, fresh = rng.normal(size=(100, 1)), pool[joint.pool_used :]
    ...     found = joint.apply(models, 100.0, events, fresh, seed=[7, chunk])
    >>> joint.chunks, found.starved, joint.pool_used == sum(joint.asked(100, [7, chunk]) for chunk in range(2))
    (2, False, True)
    """

    def __init__(
        self,
        widths: Sequence[tuple[Basis, NDArray[np.float32]]],
        weights: NDArray[np.floating] | None,
        mode: Literal["shape", "rate"],
        *,
        chunk_share: float = 1 / 6,
        memory: float = 10.0,
        model_cap: int = 128,
    ) -> None:
        if not widths:
            raise ValueError("no kernel width: give at least one")
        self._processes = [
            EProcess(
                basis, features, weights, mode, chunk_share=chunk_share, memory=memory, model_cap=model_cap
            )
            for basis, features in widths
        ]
        self.poisson = self.two_sample = Evidence()

    @property
    def chunks(self) -> int:
        """The number of chunks applied."""
        return self._processes[0].chunks

    @property
    def pool_used(self) -> int:
        """Pool events used so far."""
        return self._processes[0].pool_used

    @property
    def untested(self) -> int:
        """Events that the two-sample form has left out because the pool was empty."""
        return self._processes[0].untested

    @property
    def exposure_ratio(self) -> float:
        """Lambda / N_eff: how far the Poisson form is from exact."""
        return self._processes[0].exposure_ratio

    def log_ratios(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Give the log of each width's ratio that the next chunk will be tested with, float64 (W, N)."""
        return np.stack([process.log_ratio(x) for process in self._processes])

    def asked(self, events: int, seed: Sequence[int]) -> int:
        """Give the number of pool events that the coins of a chunk ask for; with one more it does not starve.

        Parameters
        ----------
        events:
            N_k.
        seed:
            As it will be given to `apply`.
        """
        return asked(events, self._processes[0].chunk_share, np.random.default_rng(seed))

    def apply(
        self,
        coefficients: Sequence[NDArray[np.float64]],
        expected: float,
        events: NDArray[np.floating],
        fresh: NDArray[np.floating],
        seed: Sequence[int],
    ) -> ChunkEvidence:
        """Test one chunk with what was learned before it, then learn from it.

        Parameters
        ----------
        coefficients:
            a of the model fitted to this chunk with each width, float64 (r,). A width whose model overflows tests the
            chunk and learns nothing from it.
        expected, events, fresh:
            As for `EProcess.apply`.
        seed:
            Of the coins: made of run and chunk, so that a replay gives the same.

        Raises
        ------
        ValueError
            If the expected count is not positive, or an event is not finite; the state is then as it was.
        """
        before = self.poisson.log_e, self.two_sample.log_e
        for process, a in zip(self._processes, coefficients, strict=True):
            # All are seeded alike: the same coins, the same events tested.
            coins = np.random.default_rng(seed)
            usable = float(np.abs(a).max(initial=0.0)) < LARGEST_COEFFICIENT
            found = process.apply(a if usable else None, expected, events, fresh, coins)
        self.poisson = _mean([process.poisson for process in self._processes], self.poisson)
        self.two_sample = _mean([process.two_sample for process in self._processes], self.two_sample)
        return ChunkEvidence(
            log_poisson=_step(before[0], self.poisson.log_e),
            log_two_sample=_step(before[1], self.two_sample.log_e),
            tested=found.tested,
            pool_used=found.pool_used,
            starved=found.starved,
        )

    def to_bytes(self) -> bytes:
        """Serialise all but the reference, its features and the pool."""
        header = {"format": FORMAT, "poisson": asdict(self.poisson), "two_sample": asdict(self.two_sample)}
        bodies = {f"width{i}": process.to_bytes() for i, process in enumerate(self._processes)}
        bodies["header"] = json.dumps(header).encode()
        return safetensors.numpy.save(
            {name: np.frombuffer(body, dtype=np.uint8) for name, body in bodies.items()}
        )

    @classmethod
    def from_bytes(
        cls,
        widths: Sequence[tuple[Basis, NDArray[np.float32]]],
        weights: NDArray[np.floating] | None,
        body: bytes,
    ) -> JointEProcess:
        """Continue from what `to_bytes` wrote; what follows is as if nothing had happened.

        Raises
        ------
        StateError
            If the bytes are no state, or one of another version, reference or set of eigenbases.
        """
        try:
            stored = safetensors.numpy.load(body)
            header = json.loads(stored["header"].tobytes())
            if header["format"] != FORMAT:
                raise StateError(f"e-processes saved as {header['format']!r}, not {FORMAT!r}: reset the run")
            if len(stored) != len(widths) + 1:
                raise StateError(f"e-processes of {len(stored) - 1} widths, not {len(widths)}: reset the run")
            joint = cls(widths, weights, "shape")
            joint._processes = [
                EProcess.from_bytes(basis, features, weights, stored[f"width{i}"].tobytes())
                for i, (basis, features) in enumerate(widths)
            ]
            joint.poisson = Evidence(**header["poisson"])
            joint.two_sample = Evidence(**header["two_sample"])
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise StateError(
                f"{len(body)} bytes are no saved e-processes ({error}): reset the run"
            ) from error
        return joint


def _mean(parts: Sequence[Evidence], before: Evidence) -> Evidence:
    log_e, log_sr, log_cusum = (
        float(np.logaddexp.reduce(logs)) - math.log(len(parts))
        for logs in zip(*((one.log_e, one.log_sr, one.log_cusum) for one in parts), strict=True)
    )
    # The largest mean, not the mean of the largest: those are of different chunks.
    peak = max(before.log_peak, log_e)
    return Evidence(log_e=log_e, log_peak=peak, log_sr=log_sr, log_cusum=log_cusum)


def _step(before: float, after: float) -> float:
    return after - before if math.isfinite(before) else 0.0
