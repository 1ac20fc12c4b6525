r"""The original NPLM: a small sigmoid network with clipped weights, full-batch Adam (the slow baseline).

Loss :math:`L = w \sum_R v (e^f - 1) - \sum_D f` (D'Agnolo & Wulzer, arXiv:1806.02350, eq. 14) of a network f whose
weights are clipped to :math:`[-W, W]` after every step (D'Agnolo et al., arXiv:1912.12155); the clipping is what
keeps f regular. Defaults are those of the authors' one-dimensional example: four neurons, W = 9, 3,000 steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import torch
from scipy import special

from nplmon.nplm.basis import standardise
from nplmon.nplm.errors import FitError
from nplmon.nplm.model import check_chunk
from nplmon.nplm.preparation import moments
from nplmon.nplm.saved_fit import model_digest, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.reference import Reference

FORMAT: Final = "nplmon-mlp-1"
PRECISIONS: Final = {"float64": torch.float64, "float32": torch.float32}
BLOCK_EVENTS: Final = 50_000
"""Memory of the activations and their gradients stays bounded."""


@dataclass(frozen=True, kw_only=True)
class MlpFit:
    """A fitted log density ratio and its test statistic.

    Attributes
    ----------
    model:
        Digest of the model that was fitted.
    mean, scale:
        Of the reference, float64 (d,), in feature units.
    expected:
        lam, the expected count under H0.
    statistic:
        t of the chunk.
    layers:
        Weights (inputs + 1, outputs) of each layer, float64; the last row is the bias.
    """

    model: str
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    expected: float
    statistic: float
    layers: tuple[NDArray[np.float64], ...]

    def log_ratio(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Evaluate f at the points x (N, d), in feature units; float64 (N,)."""
        y = standardise(x, self.mean, self.scale)
        for layer in self.layers[:-1]:
            y = special.expit(y @ layer[:-1] + layer[-1])
        return np.asarray((y @ self.layers[-1][:-1] + self.layers[-1][-1])[:, 0])

    def to_bytes(self) -> bytes:
        """Serialise with safetensors; the model's `read` reads it."""
        arrays = {f"layer.{k}": layer for k, layer in enumerate(self.layers)}
        return pack(FORMAT, self.model, self.expected, self.statistic, arrays)


class MlpModel:
    """The network's settings, bound to a reference.

    Parameters
    ----------
    reference:
        The reference.
    hidden:
        Neurons of each hidden layer: (4,) for one feature, (5,) or more layers for several.
    clip:
        W. Calibrated in arXiv:1912.12155 such that t under H0 follows a chi-square with as many degrees of freedom as
        there are weights.
    steps:
        Adam steps, each over the whole reference and chunk; the papers take more.
    learning_rate:
        Adam's.
    seed:
        Of the initial weights, which are the same for every chunk.
    precision:
        "float32" or "float64".
    device:
        A torch device.

    Raises
    ------
    ValueError
        If a setting is out of range, or a feature of the reference is constant.

    Examples
    --------
    >>> from nplmon.nplm.reference import Reference
    >>> rng = np.random.default_rng(0)
    >>> model = MlpModel(Reference(rng.exponential(size=(2_000, 1))), steps=200)
    >>> fitted = model.fit(rng.exponential(1.3, size=(200, 1)), expected=200.0)
    >>> fitted.statistic > 0, [layer.shape for layer in fitted.layers]
    (True, [(2, 4), (5, 1)])
    >>> model.read(fitted.to_bytes()).statistic == fitted.statistic
    True
    """

    def __init__(
        self,
        reference: Reference,
        *,
        hidden: Sequence[int] = (4,),
        clip: float = 9.0,
        steps: int = 3000,
        learning_rate: float = 1e-3,
        seed: int = 0,
        precision: Literal["float32", "float64"] = "float32",
        device: torch.device | str = "cpu",
    ) -> None:
        if not hidden or min(hidden) < 1 or steps < 1 or not (clip > 0 and learning_rate > 0):
            raise ValueError(
                f"hidden {tuple(hidden)}, steps {steps}, clip {clip}, learning_rate {learning_rate}: give positive ones"
            )
        if precision not in PRECISIONS:
            raise ValueError(f"precision {precision!r}: choose one of {', '.join(PRECISIONS)}")
        self.reference = reference
        self.device = torch.device(device)
        self._clip, self._steps, self._learning_rate = clip, steps, learning_rate
        self._precision = PRECISIONS[precision]
        self.mean, self.scale = moments(reference.events, reference.v)
        used = reference.weighted()
        standard = standardise(used.events, self.mean, self.scale)
        self._x = self._place(standard)
        self._v = self._place(used.v)
        self._initial = _initial([standard.shape[1], *hidden, 1], clip, seed)
        settings = [FORMAT, list(hidden), clip, steps, learning_rate, seed, precision]
        self.digest = model_digest(reference, settings)
        """Tells apart models whose fits differ."""

    def fit(self, events: NDArray[np.floating], expected: float) -> MlpFit:
        """Fit one chunk.

        Of all steps the one with the smallest loss is kept.

        Parameters
        ----------
        events:
            Data events in feature units, shape (N_k, d).
        expected:
            lam_k, the expected count under H0.

        Raises
        ------
        ValueError
            If there are no events, they have another number of features or are not finite, or `expected` is not
            positive.
        FitError
            If the loss is not finite.
        """
        check_chunk(events, expected, self.mean.size)
        data = self._place(standardise(events, self.mean, self.scale))
        weights = expected / self.reference.sum_weights * self._v
        layers = [self._place(layer).requires_grad_() for layer in self._initial]
        adam = torch.optim.Adam(layers, lr=self._learning_rate)
        smallest, best = np.inf, layers
        for _ in range(self._steps):
            adam.zero_grad()
            loss = network_loss(layers, self._x, weights, data)
            if loss < smallest:
                smallest, best = loss, [layer.detach().clone() for layer in layers]
            adam.step()
            with torch.no_grad():
                for layer in layers:
                    layer.clamp_(-self._clip, self._clip)
        if not np.isfinite(smallest):
            raise FitError(f"the loss is {smallest}: a smaller clip keeps e^f finite")
        return MlpFit(
            model=self.digest,
            mean=self.mean,
            scale=self.scale,
            expected=float(expected),
            statistic=-2 * smallest,
            layers=tuple(np.asarray(layer.detach().cpu().numpy(), dtype=np.float64) for layer in best),
        )

    def read(self, body: bytes) -> MlpFit:
        """Read what `MlpFit.to_bytes` wrote for a fit of this model.

        Raises
        ------
        StateError
            If the bytes are no such fit, or one of a model with another reference or other settings.
        """
        expected, statistic, layers = unpack(
            body, FORMAT, self.digest, "this network", [f"layer.{k}" for k in range(len(self._initial))]
        )
        return MlpFit(
            model=self.digest,
            mean=self.mean,
            scale=self.scale,
            expected=expected,
            statistic=statistic,
            layers=tuple(layers),
        )

    def _place(self, array: NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, self._precision)


def network(layers: Sequence[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Evaluate f, (N,), at standardised events (N, d).

    Examples
    --------
    >>> layers = [torch.zeros(2, 3), torch.tensor([[1.0], [1.0], [1.0], [0.5]])]
    >>> network(layers, torch.tensor([[7.0]]))
    tensor([2.])
    """
    for layer in layers[:-1]:
        x = torch.sigmoid(torch.addmm(layer[-1], x, layer[:-1]))
    return torch.addmm(layers[-1][-1], x, layers[-1][:-1])[:, 0]


def network_loss(
    layers: Sequence[torch.Tensor], reference: torch.Tensor, weights: torch.Tensor, events: torch.Tensor
) -> float:
    """Give L, and add its gradient to that of the layers, block by block.

    Parameters
    ----------
    layers:
        Weights of each layer, (inputs + 1, outputs).
    reference, events:
        Standardised events (N_R, d) and (N_k, d).
    weights:
        w v, (N_R,).

    Examples
    --------
    >>> layers = [torch.zeros(2, 4), torch.zeros(5, 1).requires_grad_()]
    >>> network_loss(layers, torch.zeros(10, 1), torch.full((10,), 0.3), torch.zeros(2, 1))
    0.0
    >>> round(layers[1].grad[-1].item(), 3)  # 10 x 0.3 events are expected, 2 are there
    1.0
    """
    total = 0.0
    parts = [
        (reference[k : k + BLOCK_EVENTS], weights[k : k + BLOCK_EVENTS])
        for k in range(0, len(reference), BLOCK_EVENTS)
    ]
    for x, w in parts:
        part = w @ torch.expm1(network(layers, x))
        part.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
        total += part.item()
    part = -network(layers, events).sum()
    part.backward()  # type: ignore[no-untyped-call]  # as above
    return total + part.item()


def _initial(sizes: Sequence[int], clip: float, seed: int) -> list[NDArray[np.float64]]:
    """Draw the initial weights: uniform as Glorot & Bengio have them, biases 0, the output layer 0 so that f = 0."""
    rng = np.random.default_rng([seed, 3])
    layers = []
    for inputs, outputs in pairwise(sizes):
        limit = min(clip, np.sqrt(6 / (inputs + outputs)))
        layers.append(np.vstack([rng.uniform(-limit, limit, size=(inputs, outputs)), np.zeros((1, outputs))]))
    layers[-1][:] = 0.0
    return layers
