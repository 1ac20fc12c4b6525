r"""The averaged density ratio of any fits: :math:`\bar r(x) = \sum_k \lambda_k e^{f_k(x)} / \sum_k \lambda_k`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nplmon.nplm.model import KernelFitted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.model import Fitted


def averages(
    fits: Sequence[Fitted], x: NDArray[np.floating], features: dict[int, NDArray[np.float32]]
) -> Iterator[NDArray[np.float64]]:
    """Give the log of the average of the first n ratios at x, weighted with expected counts, for n = 1, 2, ...

    Parameters
    ----------
    fits:
        The fits.
    x:
        Points (N, d), in feature units.
    features:
        psi at x, float32 (N, r), by the `id` of the eigenbasis, where it is known; completed.
    """
    total, expected = np.full(len(x), -np.inf), 0.0
    for fit in fits:
        if isinstance(fit, KernelFitted):
            if id(fit.basis) not in features:
                features[id(fit.basis)] = fit.basis.features(x)
            f = (features[id(fit.basis)] @ fit.coefficients.astype(np.float32)).astype(np.float64)
        else:
            f = fit.log_ratio(x)
        expected += fit.expected
        total = np.logaddexp(total, np.log(fit.expected) + f)
        yield total - np.log(expected)


def average(fits: Sequence[Fitted], x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Give the log of the average of all the fits' ratios at x, float64 (N,).

    Examples
    --------
    >>> from nplmon.nplm import KernelModel, Reference
    >>> rng = np.random.default_rng(0)
    >>> model = KernelModel.prepare(Reference(rng.normal(size=(2_000, 1))), centres=20)
    >>> one, two = (model.fit(rng.normal(size=(n, 1)), n) for n in (100, 300))
    >>> x = np.zeros((1, 1))
    >>> ratio = 0.25 * np.exp(one.log_ratio(x)) + 0.75 * np.exp(two.log_ratio(x))
    >>> bool(np.isclose(average([one, two], x), np.log(ratio)).all())
    True
    """
    *_, last = averages(fits, x, {})
    return last
