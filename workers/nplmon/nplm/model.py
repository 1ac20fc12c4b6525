"""What all model families have in common: a model is fitted to a chunk and gives a log density ratio with its t."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeGuard, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis
    from nplmon.nplm.reference import Reference


class Fitted(Protocol):
    """A fitted log density ratio f."""

    @property
    def statistic(self) -> float:
        """T = 2 [sum_D f - w sum_R v (e^f - 1)]."""

    @property
    def expected(self) -> float:
        """lam, the expected count under H0."""

    def log_ratio(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Evaluate f at the points x (N, d), in feature units; float64 (N,)."""

    def to_bytes(self) -> bytes:
        """Serialise f; the model's `read` reads it."""


class Model(Protocol):
    """A family with its settings, bound to a reference."""

    @property
    def reference(self) -> Reference:
        """The reference that chunks are compared with."""

    def fit(self, events: NDArray[np.floating], expected: float) -> Fitted:
        """Fit one chunk of events (N_k, d), of which `expected` were to come under H0.

        Raises
        ------
        ValueError
            If there are no events, they have another number of features or are not finite, or `expected` is not
            positive.
        FitError
            If the fit does not converge.
        """

    def read(self, body: bytes) -> Fitted:
        """Read what a fit of this model wrote with `to_bytes`.

        Raises
        ------
        StateError
            If the bytes are no such fit.
        """


@runtime_checkable
class KernelFitted(Fitted, Protocol):
    """A fit in a reference eigenbasis."""

    @property
    def basis(self) -> Basis:
        """The eigenbasis."""

    @property
    def coefficients(self) -> NDArray[np.float64]:
        """The coefficients a of f = sum_j a_j psi_j, float64 (r,)."""

    @property
    def score(self) -> NDArray[np.float64]:
        """The score c = sum_D psi - w sum_R v psi, float64 (r,)."""


class KernelFamily(Model, Protocol):
    """A model in a reference eigenbasis, for which the nulls are known."""

    @property
    def basis(self) -> Basis:
        """The eigenbasis."""

    @property
    def features(self) -> NDArray[np.float32]:
        """The features psi at the reference events, float32 (N_R, r)."""

    @property
    def loss(self) -> str:
        """The loss that is minimised: the nulls are those of "likelihood"."""

    def fit(self, events: NDArray[np.floating], expected: float) -> KernelFitted:
        """Fit one chunk."""

    def fit_together(
        self, chunks: Sequence[NDArray[np.floating]], expected: Sequence[float]
    ) -> Sequence[KernelFitted]:
        """Fit many chunks side by side."""


def kernel_family(model: Model) -> TypeGuard[KernelFamily]:
    """Tell whether a model is one in a reference eigenbasis."""
    return hasattr(model, "basis") and hasattr(model, "fit_together")


def fit(model: Model, events: NDArray[np.floating], expected: float | None = None) -> Fitted:
    """Fit one chunk.

    Parameters
    ----------
    model:
        A model bound to its reference.
    events:
        Data events in feature units, shape (N_k, d).
    expected:
        lam_k, the expected count under H0; None takes the observed one, so that only the shape is tested.

    Examples
    --------
    >>> import numpy as np
    >>> from nplmon.nplm import KernelModel, Reference, fit
    >>> rng = np.random.default_rng(0)
    >>> model = KernelModel.prepare(Reference(rng.exponential(size=(20_000, 1))), centres=200, sigma=0.7)
    >>> fitted = fit(model, rng.exponential(size=(500, 1)))
    >>> fitted.statistic > 0, fitted.log_ratio(np.array([[1.0], [2.0]])).shape
    (True, (2,))
    """
    return model.fit(events, float(len(events)) if expected is None else expected)


def check_chunk(events: NDArray[np.floating], expected: float, features: int) -> None:
    """Refuse what no family can fit.

    Raises
    ------
    ValueError
        With what is wrong, and what to do.
    """
    if events.ndim != 2 or events.shape[1] != features:
        raise ValueError(f"events of shape {events.shape}: give (N, {features}), as the reference has")
    if not len(events):
        raise ValueError("0 events: a chunk needs at least one; leave out an empty one")
    if not np.isfinite(events).all():
        bad = int(np.flatnonzero(~np.isfinite(events).all(axis=1))[0])
        raise ValueError(f"event {bad} is not finite: {events[bad].tolist()}; remove such events")
    if not (np.isfinite(expected) and expected > 0):
        raise ValueError(f"an expected count of {expected}: give a positive one")
