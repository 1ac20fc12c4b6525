"""alibi-detect's detectors, run by the interpreter of their environment: their parts, their values, their times."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from alibi_detect.cd import MMDDrift
from alibi_detect.cd.pytorch.lsdd_online import LSDDDriftOnlineTorch
from alibi_detect.cd.pytorch.mmd_online import MMDDriftOnlineTorch
from alibi_detect.utils.pytorch import GaussianRBF, permed_lsdds
from benchmarks.detection.answers import serve

EVENTS = 4
"""Fed one by one to see values and times."""
BOOTSTRAPS = 10
REFERENCE_WINDOWS = 2.5
LARGEST = 1.0e9


class Mmd(MMDDriftOnlineTorch):
    """Without thresholds: they are measured on streams."""

    def _configure_thresholds(self) -> None:
        self.thresholds = [LARGEST] * self.window_size


class Lsdd(LSDDDriftOnlineTorch):
    """Without thresholds, with its own choice of the regularisation for the first window."""

    def _configure_thresholds(self) -> None:
        count = self.n - self.n_kernel_centers
        rest = count - 2 * self.window_size + 1
        perms = [torch.randperm(count) for _ in range(self.n_bootstraps)]
        kernel = GaussianRBF(np.sqrt(2.0) * self.kernel.sigma)(self.kernel_centers, self.kernel_centers)
        _, self.H_lam_inv = permed_lsdds(
            self.k_xc,
            [perm[:rest] for perm in perms],
            [perm[rest : rest + self.window_size] for perm in perms],
            kernel,
            lam_rd_max=self.lambda_rd_max,
        )
        self.thresholds = [LARGEST] * self.window_size


def mmd(events: str, sigma: float, window: int) -> dict[str, Any]:
    """Give what MMDDriftOnline has of reference and window, its last value and seconds per event."""
    reference, fed = _read(events, int(REFERENCE_WINDOWS * window))
    torch.manual_seed(0)
    made = Mmd(
        reference, ert=100.0, window_size=window, sigma=np.array([sigma], dtype=np.float32), verbose=False
    )
    value, seconds = _fed(made, fed)
    return {
        "reference": reference[made.ref_inds.numpy()],
        "window": made.test_window.numpy(),
        "value": value,
        "seconds": seconds,
    }


def lsdd(events: str, sigma: float, window: int, centres: int) -> dict[str, Any]:
    """Give centres and inverse kernel of LSDDDriftOnline beside the same."""
    reference, fed = _read(events, int(REFERENCE_WINDOWS * window) + centres)
    torch.manual_seed(0)
    made = Lsdd(
        reference,
        ert=100.0,
        window_size=window,
        sigma=np.array([sigma], dtype=np.float32),
        n_bootstraps=BOOTSTRAPS,
        n_kernel_centers=centres,
        verbose=False,
    )
    value, seconds = _fed(made, fed)
    return {
        "reference": made.x_ref_eff[made.ref_inds].numpy(),
        "window": made.test_window.numpy(),
        "centres": made.kernel_centers.numpy(),
        "inverse": made.H_lam_inv.numpy(),
        "mean": reference.mean(axis=0, dtype=np.float64),
        "scale": reference.std(axis=0, ddof=1, dtype=np.float64),
        "value": value,
        "seconds": seconds,
    }


def chunk(events: str, sigma: float, window: int, permutations: int) -> dict[str, Any]:
    """Give the seconds of MMDDrift for one chunk, with its permutations."""
    reference, _ = _read(events, int(REFERENCE_WINDOWS * window))
    made = MMDDrift(
        reference, backend="pytorch", sigma=np.array([sigma], dtype=np.float32), n_permutations=permutations
    )
    start = time.process_time()
    made.predict(reference[:window])
    return {"seconds": time.process_time() - start}


def _read(path: str, count: int) -> tuple[Any, Any]:
    with np.load(path) as file:
        return file["reference"][:count], file["events"][:EVENTS]


def _fed(detector: Any, events: Any) -> tuple[float, float]:  # noqa: ANN401 (of a package without types)
    start, value = time.process_time(), 0.0
    for event in events:
        value = detector.score(event)
    return value, (time.process_time() - start) / len(events)


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve({"mmd": mmd, "lsdd": lsdd, "chunk": chunk})
