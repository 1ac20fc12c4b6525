r"""Evidence against H0 that may be looked at after every chunk: the e-process and two e-detectors.

From conditional e-values :math:`e_n`, non-negative and of mean at most 1 under H0 whatever went before:

- :math:`E_n = \prod_{i \le n} e_i`: :math:`P(\sup_n E_n \ge 1/\alpha) \le \alpha` (Ville's inequality);
- e-SR :math:`S_n = (1 + S_{n-1}) e_n` and e-CUSUM :math:`M_n = \max(1, M_{n-1}) e_n`: an alarm at A has a mean run
  length of at least A chunks (Shin, Ramdas & Rinaldo, arXiv:2203.03532): S_n - n has mean at most 0.

All in logarithms: nothing overflows, and an e-value of 0 is -inf.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The e-process and the e-detectors of one sequence of e-values.

    Attributes
    ----------
    log_e:
        log E.
    log_peak:
        The largest log E so far, at least 0.
    log_sr, log_cusum:
        log S and log M; -inf before the first chunk.

    Examples
    --------
    >>> evidence = Evidence().times(math.log(3.0)).times(math.log(2.0))
    >>> [round(math.exp(x), 6) for x in (evidence.log_e, evidence.log_sr, evidence.log_cusum)]
    [6.0, 8.0, 6.0]
    >>> round(math.exp(evidence.times(-math.inf).log_p), 6)
    0.166667
    """

    log_e: float = 0.0
    log_peak: float = 0.0
    log_sr: float = -math.inf
    log_cusum: float = -math.inf

    @property
    def log_p(self) -> float:
        """Log of 1 / sup E: a p-value that holds whenever one looks and stops."""
        return -self.log_peak

    def times(self, log_e: float, log_recent: float | None = None) -> Evidence:
        """Multiply by the e-value of a chunk.

        Parameters
        ----------
        log_e:
            Log of the e-value.
        log_recent:
            Log of the one for the e-detectors, where it is another.
        """
        recent = log_e if log_recent is None else log_recent
        product = self.log_e + log_e
        return Evidence(
            log_e=product,
            log_peak=max(self.log_peak, product),
            log_sr=float(np.logaddexp(0.0, self.log_sr)) + recent,
            log_cusum=max(0.0, self.log_cusum) + recent,
        )
