r"""The cumulative statistics of a run: the running averaged density ratio and what is tested with it.

After chunks 1..n with expected counts :math:`\lambda_k` (Grosso, arXiv:2407.01249, section 3; weights by exposure are
ours), with :math:`\Lambda = \sum \lambda_k`, :math:`W = \Lambda / V`:

- :math:`\bar r(x) = \sum_k \lambda_k e^{f_k(x)} / \Lambda`, in mode "shape" divided by its mean over the reference;
- :math:`t_{agg} = 2 [\sum_{\cup D_k} \log \bar r - W \sum_R v (\bar r - 1)]`;
- :math:`t_{ref} = 2 W \sum_R v (\bar r \log \bar r - \bar r + 1)`;
- :math:`t_{sum} = \sum_k t_k`;
- :math:`t_{score} = 2 C \cdot \bar a - \Lambda \sum_j \mu_j \bar a_j^2` with the cumulative score C and
  :math:`\bar a_j = \Lambda^{-1} \sum_k \lambda_k c_{kj} / (\lambda_k \mu_j + \Lambda_k^{pen})`: t_agg to first order.

t_agg needs psi at all events of the run; past a cap it is frozen and the others, O(1) per chunk, go on.
numpy and scipy only.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import safetensors.numpy
from scipy import special

from nplmon.nplm.errors import StateError
from nplmon.nplm.null import ChiSquareSum, Mode, Nulls
from nplmon.nplm.statistic import TestStatistic, excess, log_mean, t_agg, t_ref

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis

Kind = Literal["t_chunk", "t_agg", "t_ref", "t_score", "t_profiled", "t_sum"]
"""t_profiled is no statistic of this state alone: see `nplmon.nplm.templates`."""
FORMAT: Final = "nplmon-aggregation-1"
_SCALARS: Final = (
    "chunks",
    "expected",
    "last_expected",
    "events",
    "kept",
    "t_chunk",
    "t_sum",
    "t_frozen",
    "frozen_chunks",
)
_SUMS: Final = ("_score", "_weighted_mean", "_h", "_h_squared", "_shrinkage")


class Aggregation:
    """The running state of one run.

    Parameters
    ----------
    basis:
        The reference eigenbasis.
    reference_features:
        psi at the reference events, float32 (N_R, r).
    weights:
        v, (N_R,), or None for 1.
    mode:
        "shape" or "rate".
    event_cap:
        Events kept for the exact t_agg; their features take 4 r bytes each.

    Examples
    --------
    >>> from nplmon.nplm.preparation import prepare
    >>> rng = np.random.default_rng(0)
    >>> events = rng.normal(size=(5_000, 1))
    >>> basis = prepare(events, centres=50)
    >>> run = Aggregation(basis, basis.features(events), None, "shape", event_cap=10_000)
    >>> run.apply(np.zeros(basis.size), np.zeros(basis.size), 0.0, 100.0, rng.normal(size=(100, 1)))
    >>> run.chunks, run.statistics()["t_agg"].value
    (1, 0.0)
    """

    def __init__(
        self,
        basis: Basis,
        reference_features: NDArray[np.float32],
        weights: NDArray[np.floating] | None,
        mode: Mode,
        event_cap: int,
    ) -> None:
        self.basis = basis
        self.mode: Mode = mode
        self.event_cap = event_cap
        self.reference_features = reference_features
        count = len(reference_features)
        self.weights = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
        self._nulls = Nulls(basis=basis, mode=mode)
        self.chunks = 0
        self.events = 0
        self.expected = 0.0
        self.t_chunk = self.t_sum = self.t_frozen = 0.0
        self.last_expected = 0.0
        self.frozen_chunks = 0
        self.kept = 0
        """Events kept for t_agg."""
        self._score = np.zeros(basis.size)
        self._weighted_mean = np.zeros(basis.size)
        # Of h_kj = lam_k mu_j / curvature: sums weighted with lam_k of h and h^2, and the plain sum of 2 h - h^2.
        self._h, self._h_squared, self._shrinkage = np.zeros((3, basis.size))
        self._frozen_weights = np.empty(0)
        self._log_reference = np.full(count, -np.inf)
        self._log_mean: float | None = None
        """Of `_log_reference` over the reference, once it was asked for: several statistics need it."""
        self._log_events = np.empty(0)
        self._event_buffer = np.empty((0, basis.size), dtype=np.float32)
        self._models = np.empty((0, basis.size), dtype=np.float32)
        self._log_weights = np.empty(0)

    @property
    def frozen(self) -> bool:
        """Whether t_agg has stopped at `frozen_chunks`."""
        return self.frozen_chunks > 0

    @property
    def exposure_ratio(self) -> float:
        """Lambda / N_eff: how far the run has used up the precision of the reference."""
        return self.expected / self.basis.effective_events

    @property
    def shrinkage_means(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """<h> and <h^2> over the chunks, weighted with lam_k, float64 (r,); after the first chunk."""
        return self._h / self.expected, self._h_squared / self.expected

    @property
    def score(self) -> NDArray[np.float64]:
        """C, the cumulative score, float64 (r,)."""
        return self._score

    @property
    def mean_coefficients(self) -> NDArray[np.float64]:
        """abar, the mean coefficients of the linear regime, float64 (r,); after the first chunk."""
        return self._weighted_mean / self.expected

    @property
    def degrees(self) -> float:
        """Effective degrees of freedom of the averaged model, sum_j (2 <h_j> - <h_j^2>); after the first chunk."""
        h, h_squared = self.shrinkage_means
        return float((2 * h - h_squared).sum())

    def apply(
        self,
        coefficients: NDArray[np.float64],
        score: NDArray[np.float64],
        statistic: float,
        expected: float,
        events: NDArray[np.floating],
    ) -> None:
        """Add one chunk: its model, its score, its own t, its expected count and its events (N_k, d)."""
        if not self.frozen and self.events + len(events) > self.event_cap:
            self._freeze()
        model = coefficients.astype(np.float32)
        log_weight = float(np.log(expected))
        if not self.frozen:
            self._keep(model, log_weight, events)
        f = (self.reference_features @ model).astype(np.float64)
        self._log_reference = np.logaddexp(self._log_reference, log_weight + f)
        self._log_mean = None
        self._score += score
        curvature = expected * self.basis.second_moment + self.basis.penalty(len(events))
        self._weighted_mean += expected * score / curvature
        h = expected * self.basis.second_moment / curvature
        self._h += expected * h
        self._h_squared += expected * h**2
        self._shrinkage += 2 * h - h**2
        self.chunks += 1
        self.events += len(events)
        self.expected += expected
        self.last_expected = expected
        self.t_chunk = statistic
        self.t_sum += statistic

    def newest_features(self, events: int) -> NDArray[np.float32] | None:
        """Give psi at the last so many kept events, float32 (events, r); None where they are not kept."""
        if self.frozen or events > self.kept:
            return None
        return self._event_buffer[self.kept - events : self.kept]

    def _keep(self, model: NDArray[np.float32], log_weight: float, events: NDArray[np.floating]) -> None:
        """Bring the averaged ratio at the kept events up to date: the new model there, all models at the new ones."""
        old = (self._event_buffer[: self.kept] @ model).astype(np.float64)
        self._log_events = np.logaddexp(self._log_events, log_weight + old)
        self._models = np.vstack([self._models, model])
        self._log_weights = np.append(self._log_weights, log_weight)
        psi = self.basis.features(events)
        f = (psi @ self._models.T).astype(np.float64)
        self._log_events = np.concatenate(
            [self._log_events, special.logsumexp(f + self._log_weights, axis=1)]
        )
        self._append_features(psi)

    def _append_features(self, psi: NDArray[np.float32]) -> None:
        needed = self.kept + len(psi)
        if needed > len(
            self._event_buffer
        ):  # doubled, so that the copies of a long run stay proportional to it
            grown = np.empty((max(needed, 2 * self.kept), self.basis.size), dtype=np.float32)
            grown[: self.kept] = self._event_buffer[: self.kept]
            self._event_buffer = grown
        self._event_buffer[self.kept : needed] = psi
        self.kept = needed

    def _freeze(self) -> None:
        if self.chunks:
            self.t_frozen = self._t_agg()
            self._frozen_weights = self._null_aggregated().weights
        self.frozen_chunks = max(self.chunks, 1)
        self._event_buffer, self._models = np.empty((0, self.basis.size), np.float32), self._models[:0]
        self._log_events, self._log_weights, self.kept = np.empty(0), np.empty(0), 0

    def log_ratio(self) -> NDArray[np.float64]:
        """Log of the averaged (in mode "shape" normalised) ratio at the reference events, float64 (N_R,)."""
        return np.asarray(self._log_reference - np.log(self.expected) - self.log_normalisation())

    def log_normalisation(self) -> float:
        """Log of the averaged ratio's mean over the reference in mode "shape"; 0 in mode "rate"."""
        if self.mode == "rate":
            return 0.0
        if self._log_mean is None:
            self._log_mean = log_mean(self._log_reference, self.weights)
        return self._log_mean - float(np.log(self.expected))

    def _t_agg(self) -> float:
        at_events = self._log_events - np.log(self.expected) - self.log_normalisation()
        # In mode "shape" the reference does not enter once more, and its ratio need not be normalised.
        at_reference = self.log_ratio() if self.mode == "rate" else self._log_reference
        return t_agg(at_events, at_reference, self.weights, self.expected, self.mode)

    def _t_ref(self) -> float:
        return t_ref(self.log_ratio(), self.weights, self.expected)

    def _t_score(self) -> float:
        mean = self.mean_coefficients
        return float(2 * self._score @ mean - self.expected * self.basis.second_moment @ mean**2)

    def _null_aggregated(self) -> ChiSquareSum:
        return self._nulls.aggregated(self.expected, *self.shrinkage_means)

    def statistics(self) -> dict[Kind, TestStatistic]:
        """Give all statistics with their nulls; empty before the first chunk."""
        if not self.chunks:
            return {}
        h, h_squared = self.shrinkage_means
        aggregated = self._null_aggregated()
        result: dict[Kind, TestStatistic] = {}
        if not self.frozen:
            result["t_agg"] = TestStatistic(
                value=self._t_agg(), null=aggregated, chunks=self.chunks, excess=self._excess(self.chunks)
            )
        elif self._frozen_weights.size:
            null = ChiSquareSum(self._frozen_weights, np.ones_like(self._frozen_weights))
            result["t_agg"] = TestStatistic(
                value=self.t_frozen,
                null=null,
                chunks=self.frozen_chunks,
                frozen=True,
                excess=self._excess(self.frozen_chunks),
            )
        return result | {
            "t_score": TestStatistic(value=self._t_score(), null=aggregated, chunks=self.chunks),
            "t_ref": TestStatistic(
                value=self._t_ref(),
                null=self._nulls.divergence(self.expected, h, h_squared),
                chunks=self.chunks,
            ),
            "t_sum": TestStatistic(
                value=self.t_sum,
                null=self._nulls.total(self.expected, self.chunks, self._shrinkage, h, h_squared),
                chunks=self.chunks,
            ),
            "t_chunk": TestStatistic(
                value=self.t_chunk, null=self._nulls.chunk(self.last_expected), chunks=self.chunks
            ),
        }

    def _excess(self, chunks: int) -> float:
        size = np.array([self.expected / self.chunks])
        return float(
            excess(self.basis, self.reference_features, self.weights, np.array([float(chunks)]), size)[0]
        )

    def merge(self, other: Aggregation) -> Aggregation:
        """Give the state of both runs' chunks, those of `other` after one's own; neither is changed.

        Its statistics are those of one run of all chunks, in any order of merging: to 1e-9 of their sums where they
        are sums over the reference or of scores, to what float32 features leave (1e-6 of its sum) for t_agg. Where
        either t_agg is frozen, or both runs have more events than the smaller of their caps, there is no t_agg of
        both: it is left out, and the other statistics go on.

        Raises
        ------
        StateError
            If the modes, the references or the eigenbases differ.
        """
        if self.mode != other.mode:
            raise StateError(f"a run in mode {self.mode!r} cannot be merged with one in mode {other.mode!r}")
        if self.basis.digest != other.basis.digest or len(self.weights) != len(other.weights):
            raise StateError(
                "runs with other references or eigenbases cannot be merged: their components differ"
            )
        cap = min(self.event_cap, other.event_cap)
        both = Aggregation(self.basis, self.reference_features, self.weights, self.mode, cap)
        for name in ("chunks", "events", "expected", "t_sum", *_SUMS):
            setattr(both, name, getattr(self, name) + getattr(other, name))
        last = other if other.chunks else self
        both.t_chunk, both.last_expected = last.t_chunk, last.last_expected
        both._log_reference = np.logaddexp(self._log_reference, other._log_reference)
        if self.frozen or other.frozen or both.events > cap:
            both.frozen_chunks = max(both.chunks, 1)
            return both
        both._models = np.vstack([self._models, other._models])
        both._log_weights = np.concatenate([self._log_weights, other._log_weights])
        both._append_features(self._event_buffer[: self.kept])
        both._append_features(other._event_buffer[: other.kept])
        both._log_events = np.concatenate([self._log_sum_with(other), other._log_sum_with(self)])
        return both

    def _log_sum_with(self, other: Aggregation) -> NDArray[np.float64]:
        """Log of the sum of both runs' weighted ratios at one's own kept events."""
        f = (self._event_buffer[: self.kept] @ other._models.T).astype(np.float64) + other._log_weights
        return np.logaddexp(self._log_events, np.logaddexp.reduce(f, axis=1, initial=-np.inf))

    def to_bytes(self) -> bytes:
        """Serialise all but the reference and the features of the kept events, which the events give back."""
        header = {
            "format": FORMAT,
            "mode": self.mode,
            "basis": self.basis.digest,
            "scalars": {name: getattr(self, name) for name in _SCALARS},
        }
        arrays = {
            "score": self._score,
            "weighted_mean": self._weighted_mean,
            "h": self._h,
            "h_squared": self._h_squared,
            "shrinkage": self._shrinkage,
            "frozen_weights": self._frozen_weights,
            "log_reference": self._log_reference,
            "log_events": self._log_events,
            "models": self._models,
            "log_weights": self._log_weights,
            "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
        }
        return safetensors.numpy.save(arrays)

    def restore(self, body: bytes, kept_chunks: Sequence[NDArray[np.floating]]) -> None:
        """Continue from saved bytes; the next values are those of the state that was saved, bit for bit.

        Parameters
        ----------
        body:
            What `to_bytes` wrote, for the same reference, basis and mode.
        kept_chunks:
            The events of each chunk kept for t_agg, in the order of application; none where it is frozen.

        Raises
        ------
        StateError
            If the bytes are no state, or one of another version, reference or mode, or the events are not those of
            the state. The run is then as it was.
        """
        try:
            arrays = safetensors.numpy.load(body)
            header = json.loads(arrays["header"].tobytes())
            found, scalars = (header["format"], header["mode"]), header["scalars"]
            same_basis = header["basis"] == self.basis.digest
        except (safetensors.SafetensorError, KeyError, ValueError) as error:
            raise StateError(f"{len(body)} bytes are no saved state ({error}): reset the run") from error
        if found != (FORMAT, self.mode):
            raise StateError(
                f"a state saved as {found} cannot continue as {(FORMAT, self.mode)}: reset the run"
            )
        if not same_basis or arrays["log_reference"].shape != self._log_reference.shape:
            raise StateError("the saved state belongs to another reference or eigenbasis: reset the run")
        count = sum(len(events) for events in kept_chunks)
        if count != scalars["kept"]:
            raise StateError(f"the saved state has {scalars['kept']} kept events, not {count}: reset the run")
        for name in _SCALARS:
            setattr(self, name, scalars[name])
        self._event_buffer, self.kept = self._event_buffer[:0], 0
        for events in kept_chunks:
            self._append_features(self.basis.features(events))
        self._score, self._weighted_mean = arrays["score"], arrays["weighted_mean"]
        self._h, self._h_squared = arrays["h"], arrays["h_squared"]
        self._shrinkage, self._frozen_weights = arrays["shrinkage"], arrays["frozen_weights"]
        self._log_reference, self._log_events = arrays["log_reference"], arrays["log_events"]
        self._log_mean = None
        self._models, self._log_weights = arrays["models"], arrays["log_weights"]
