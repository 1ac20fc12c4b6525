r"""E-processes of a run: each chunk bets with the density ratio that the chunks before it have taught.

With the predictable ratio :math:`\tilde r_k` (`PredictableRatio`), three forms of the e-value of chunk k:

*Poisson*, mode "rate" (ours; the likelihood ratio of two Poisson processes):
:math:`\log e_k = \sum_{D_k} \log \tilde r_k - w_k \sum_R v (\tilde r_k - 1)`. Its mean is 1 if the count is Poisson
with mean lam_k.

*Multinomial*, which takes its place in mode "shape": :math:`\log e_k = \sum_{D_k} \log (\tilde r_k / \bar m_k)`, with
:math:`\bar m_k` the mean of :math:`\tilde r_k` over R. Given the count, whatever it is, each factor has mean 1. (The
Poisson form with lam_k = N_k has mean :math:`(\bar m e^{1 - \bar m})^{N_k} \le 1`: it is valid, and smaller.)
Both take the mean over the reference for the mean under H0: they are exact for an infinite reference, and approximate
by the reference exposure, Lambda / N_eff.

*Two-sample*, exact for any finite reference and in both modes (after E-C2ST, arXiv:2210.13027; the interleaving is
ours). The chunk's events are interleaved with fresh events of H0, each used once, by coin flips: with probability pi
the next event is one of the chunk. With :math:`r = \tilde r_k / \bar m_k` it multiplies the e-value by

- :math:`r / (\pi r + 1 - \pi)` if it is of the chunk,
- :math:`1 / (\pi r + 1 - \pi)` if it is of the pool,

whose mean over the coin is 1 for every event, as long as events of chunk and pool are exchangeable. It ends after the
last event of the chunk, or as soon as the pool is empty: both are known before the next coin is flipped, and a
martingale may be stopped on what is known. (To give up a chunk for which the pool does not suffice, or to go on with
its events until a coin asks for one of the pool, would let the coins choose: the mean then exceeds 1.)

numpy and safetensors only.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import safetensors.numpy

from nplmon.nplm.errors import StateError
from nplmon.nplm.evidence import Evidence
from nplmon.nplm.predictable_ratio import PredictableRatio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis

FORMAT: Final = "nplmon-eprocess-1"
LARGEST: Final = 700.0
"""Of a logarithm that is exponentiated."""
_COUNTS: Final = ("chunks", "expected", "pool_used", "untested")


def log_factors(
    log_ratio: NDArray[np.float64], chunk_share: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the logs of what an event multiplies the two-sample e-value by: as one of the chunk, as one of the pool.

    Parameters
    ----------
    log_ratio:
        log r, float64 (N,); infinite values are allowed.
    chunk_share:
        pi.

    Examples
    --------
    >>> chunk, pool = log_factors(np.array([-np.inf, 0.0, np.inf]), 0.5)
    >>> np.exp(chunk).round(6).tolist(), np.exp(pool).round(6).tolist()
    ([0.0, 1.0, 2.0], [2.0, 1.0, 0.0])
    """
    low, high = np.minimum(log_ratio, 0.0), np.maximum(log_ratio, 0.0)
    # The denominator divided by max(r, 1): nothing overflows, and no infinity meets another.
    scaled = np.log(chunk_share * np.exp(low) + (1 - chunk_share) * np.exp(-high))
    return low - scaled, -high - scaled


def interleave(events: int, pool: int, chunk_share: float, rng: np.random.Generator) -> tuple[int, int]:
    """Flip coins until the chunk is used up or the pool is empty; give the numbers of events used of each.

    The numbers of pool events before each event of the chunk are geometric. As a product does not depend on the order
    of its factors, the numbers are all that matters.

    Parameters
    ----------
    events, pool:
        Events that there are.
    chunk_share:
        pi.
    rng:
        Gives the coins.

    Examples
    --------
    >>> interleave(100, 0, 0.5, np.random.default_rng(0))
    (0, 0)
    >>> interleave(3, 10**6, 0.5, np.random.default_rng(0))
    (3, 1)
    """
    before = np.cumsum(rng.geometric(chunk_share, size=events) - 1)
    used = int(np.searchsorted(before, pool))  # those before the pool's last event
    if used < events or not events:
        return used, pool if events else 0
    return events, int(before[-1])


def asked(events: int, chunk_share: float, rng: np.random.Generator) -> int:
    """Give the number of pool events that the coins ask for until the chunk is used up.

    `interleave` with a generator of the same seed takes as many, if the pool has more than these: it ends at its last.

    Examples
    --------
    >>> asked(3, 0.5, np.random.default_rng(0))
    1
    """
    return int((rng.geometric(chunk_share, size=events) - 1).sum())


@dataclass(frozen=True, kw_only=True)
class ChunkEvidence:
    """What one chunk contributed.

    Attributes
    ----------
    log_poisson, log_two_sample:
        Log of its e-values in the two forms.
    tested:
        Its events in the two-sample form: all, or fewer where the pool ran empty.
    pool_used:
        Pool events that it took.
    starved:
        Whether the pool ran empty before the chunk was used up: refill it.
    """

    log_poisson: float
    log_two_sample: float
    tested: int
    pool_used: int
    starved: bool


class EProcess:
    """The e-processes and e-detectors of one run.

    E is the product of the e-values with the ratio learned from all of the past. The e-detectors take the mean of
    this e-value and of one with a memory: a mean of e-values is one, and the shorter memory sees a change
    that follows a long quiet stretch.

    Parameters
    ----------
    basis:
        The reference eigenbasis.
    reference_features:
        psi at the reference events, float32 (N_R, r).
    weights:
        v, (N_R,), or None for 1.
    mode:
        "shape" (multinomial form) or "rate" (Poisson form).
    chunk_share:
        pi: 1/6 takes five pool events per event of a chunk.
    memory:
        Of the e-detectors, in chunks.
    model_cap:
        Models kept of the past; see `PredictableRatio`.

    Raises
    ------
    ValueError
        If a setting is out of its range.

    Examples
    --------
    >>> from nplmon.nplm.preparation import prepare
    >>> rng = np.random.default_rng(0)
    >>> reference, pool = rng.normal(size=(5_000, 1)), rng.normal(size=(2_000, 1))
    >>> basis = prepare(reference, centres=50)
    >>> process = EProcess(basis, basis.features(reference), None, "shape")
    >>> for chunk in range(2):
    ...     events, a = rng.normal(size=(100, 1)), np.full(basis.size, 0.01)
    ...     coins = np.random.default_rng([7, chunk])
    ...     found = process.apply(a, 100.0, events, pool[process.pool_used :], coins)
    >>> process.chunks, found.starved, process.two_sample.log_e == found.log_two_sample
    (2, False, True)
    """

    def __init__(
        self,
        basis: Basis,
        reference_features: NDArray[np.float32],
        weights: NDArray[np.floating] | None,
        mode: Literal["shape", "rate"],
        *,
        chunk_share: float = 1 / 6,
        memory: float = 10.0,
        model_cap: int = 128,
    ) -> None:
        if not 0 < chunk_share < 1:
            raise ValueError(f"a chunk share of {chunk_share}: give one between 0 and 1")
        self.basis = basis
        self.mode: Literal["shape", "rate"] = mode
        self.chunk_share = chunk_share
        self.poisson = self.two_sample = Evidence()
        self.chunks = 0
        self.expected = 0.0
        self.pool_used = 0
        """Pool events used so far: where the unused ones begin."""
        self.untested = 0
        """Events that the two-sample form has left out because the pool was empty."""
        self.memory = memory
        self._ratio = PredictableRatio(
            reference_features, weights, memories=(math.inf, memory), model_cap=model_cap
        )

    def log_ratio(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Give the log of the ratio that the next chunk will be tested with, of mean 1 over the reference.

        Parameters
        ----------
        x:
            Points (N, d), in feature units.

        Returns
        -------
        NDArray[np.float64]
            (N,), learned from all of the past.
        """
        return np.asarray(self._log_ratios(x)[0] - self._ratio.log_mean[0])

    def _log_ratios(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Give log rtil of all memories, float64 (memories, N)."""
        return self._ratio.log_mixture(self.basis.values(x, self._ratio.coefficients))

    @property
    def exposure_ratio(self) -> float:
        """Lambda / N_eff: how far the Poisson form is from exact."""
        return self.expected / self.basis.effective_events

    def apply(
        self,
        coefficients: NDArray[np.float64] | None,
        expected: float,
        events: NDArray[np.floating],
        fresh: NDArray[np.floating],
        rng: np.random.Generator,
    ) -> ChunkEvidence:
        """Test one chunk with what was learned before it, then learn from it.

        Parameters
        ----------
        coefficients:
            a of the model fitted to this chunk, float64 (r,); None where it could not be fitted: the chunk is tested
            all the same, since leaving out a chunk for what is in it would not be honest, and nothing is learned.
        expected:
            lam_k, as it is given to the fit.
        events:
            (N_k, d), in feature units.
        fresh:
            Events of H0 that nothing has used yet, neither fit nor earlier chunk, unweighted, in random order, (L, d):
            the pool from `pool_used` on. Without any, the two-sample form does not move.
        rng:
            Gives the coins: seed it from run and chunk, so that a replay gives the same.

        Raises
        ------
        ValueError
            If the model overflows, the expected count is not positive, or an event is not finite; the state is then
            as it was.
        """
        used, pool_used = interleave(len(events), len(fresh), self.chunk_share, rng)
        points = np.concatenate([events, fresh[:pool_used]])
        if not np.isfinite(points).all():
            raise ValueError("an event of the chunk or of the pool is not finite: remove such events")
        if not (math.isfinite(expected) and expected > 0):
            raise ValueError(f"an expected count of {expected}: give a positive one")
        # Which of its events are tested where the pool runs empty must not depend on how the chunk is sorted.
        tested = rng.permutation(len(events))[:used]
        poisson, two_sample = self._e_values(points, len(events), tested, expected)
        if coefficients is not None:
            self._ratio.learn(coefficients, expected)
        self.poisson = self.poisson.times(poisson[0], _log_mean(poisson))
        self.two_sample = self.two_sample.times(two_sample[0], _log_mean(two_sample))
        self.chunks += 1
        self.expected += expected
        self.pool_used += pool_used
        self.untested += len(events) - used
        return ChunkEvidence(
            log_poisson=poisson[0],
            log_two_sample=two_sample[0],
            tested=used,
            pool_used=pool_used,
            starved=used < len(events),
        )

    def _e_values(
        self, points: NDArray[np.floating], events: int, tested: NDArray[np.intp], expected: float
    ) -> tuple[list[float], list[float]]:
        """Log of the e-values of a chunk for each memory; the points are its events, then those of the pool."""
        log_mean = self._ratio.log_mean
        normalised = self._log_ratios(points) - log_mean[:, None]
        poisson = normalised[:, :events].sum(axis=1)
        if self.mode == "rate":
            poisson += events * log_mean - expected * np.expm1(np.minimum(log_mean, LARGEST))
        of_chunk, of_pool = log_factors(normalised, self.chunk_share)
        two_sample = of_chunk[:, tested].sum(axis=1) + of_pool[:, events:].sum(axis=1)
        return poisson.tolist(), two_sample.tolist()

    def to_bytes(self) -> bytes:
        """Serialise all but the reference, its features and the pool."""
        header = {
            "format": FORMAT,
            "mode": self.mode,
            "basis": self.basis.digest,
            "chunk_share": self.chunk_share,
            "memory": self.memory,
            "model_cap": self._ratio.model_cap,
            "counts": {name: getattr(self, name) for name in _COUNTS},
            "poisson": asdict(self.poisson),
            "two_sample": asdict(self.two_sample),
        }
        packed = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
        return safetensors.numpy.save(self._ratio.arrays() | {"header": packed})

    @classmethod
    def from_bytes(
        cls,
        basis: Basis,
        reference_features: NDArray[np.float32],
        weights: NDArray[np.floating] | None,
        body: bytes,
    ) -> EProcess:
        """Continue from what `to_bytes` wrote; what follows is as if nothing had happened, bit for bit.

        Raises
        ------
        StateError
            If the bytes are no state, or one of another version, reference or eigenbasis.
        """
        try:
            arrays = safetensors.numpy.load(body)
            header = json.loads(arrays["header"].tobytes())
            if header["format"] != FORMAT:
                raise StateError(f"an e-process saved as {header['format']!r}, not {FORMAT!r}: reset the run")
            if header["basis"] != basis.digest:
                raise StateError("the e-process belongs to another reference or eigenbasis: reset the run")
            process = cls(
                basis,
                reference_features,
                weights,
                header["mode"],
                chunk_share=header["chunk_share"],
                memory=header["memory"],
                model_cap=header["model_cap"],
            )
            for name in _COUNTS:
                setattr(process, name, header["counts"][name])
            process.poisson, process.two_sample = (
                Evidence(**header["poisson"]),
                Evidence(**header["two_sample"]),
            )
            process._ratio.restore(arrays)
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise StateError(f"{len(body)} bytes are no saved e-process ({error}): reset the run") from error
        return process


def _log_mean(logs: list[float]) -> float:
    return float(np.logaddexp.reduce(logs)) - math.log(len(logs))
