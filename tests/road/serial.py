"""The statistics of a run in one process and one thread, for each kernel width: `python serial.py DIRECTORY`.

The directory holds `reference.npy`, the pool as it is stored, `pool.npy`, and the chunks as `NAME.npy`. Each line of
input is one run, `{"kernel", "order", "run", "begin"}`: the settings of the kernel, the names of its chunks, its own
name, and the place in the pool where it begins; the line of output gives, after each chunk, the statistics of each
width, the e-processes of all together, and the pool events used.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.basis import Basis
from nplmon.nplm.joint_eprocess import JointEProcess
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.kernel_fit import KernelFit
from nplmon.nplm.preparation import prepare
from nplmon.nplm.reference import Reference


@dataclass(frozen=True)
class Width:
    """A kernel width, and what was found with it."""

    basis: Basis
    features: NDArray[np.float32]
    fits: list[KernelFit]
    values: list[dict[str, tuple[float, float]]]
    """Value and log p of each statistic after each chunk."""


def statistics(
    directory: Path, kernel: dict[str, Any], order: list[str], run: str, begin: int
) -> dict[str, Any]:
    """Give what was found with each width, and the e-processes."""
    lambda_, quantiles = kernel.pop("lambda"), kernel.pop("sigma_quantiles")
    assert not kernel.pop("sigmas")
    widths = [one_width(directory, order, lambda_=lambda_, sigma_quantile=q, **kernel) for q in quantiles]
    return {
        "widths": [width.values for width in widths],
        "evidence": evidence(directory, order, widths, run, begin),
    }


def one_width(directory: Path, order: list[str], **settings: Any) -> Width:
    """Fit and aggregate the chunks with one width."""
    reference = np.load(directory / "reference.npy")
    basis = prepare(reference, **settings)
    features = basis.features(reference)
    prepared = KernelModel(Reference(reference), basis, features)
    run = Aggregation(basis, features, None, "shape", event_cap=200_000)
    found = Width(basis, features, [], [])
    for name in order:
        events = np.load(directory / f"{name}.npy")
        expected = float(len(events))
        fitted = prepared.fit(events, expected)
        run.apply(fitted.coefficients, fitted.score, fitted.statistic, expected, events)
        found.fits.append(fitted)
        found.values.append({kind: (one.value, one.log_p) for kind, one in run.statistics().items()})
    return found


def evidence(
    directory: Path, order: list[str], widths: list[Width], run: str, begin: int
) -> list[dict[str, float]]:
    """Give the e-processes and the pool events used after each chunk."""
    joint = JointEProcess([(width.basis, width.features) for width in widths], None, "shape")
    pool, values = np.load(directory / "pool.npy"), []
    for place, name in enumerate(order):
        events = np.load(directory / f"{name}.npy")
        seed = list(hashlib.sha256(f"m\n{run}\n1\n{place + 1}".encode()).digest())
        models = [width.fits[place].coefficients for width in widths]
        joint.apply(models, float(len(events)), events, pool[begin + joint.pool_used :], seed)
        forms = (("", joint.two_sample), ("_poisson", joint.poisson))
        values.append(
            {
                f"{kind}{ending}": getattr(one, kind)
                for ending, one in forms
                for kind in ("log_e", "log_sr", "log_cusum")
            }
            | {"pool_used": joint.pool_used}
        )
    return values


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in sys.stdin:
        print(json.dumps(statistics(Path(sys.argv[1]), **json.loads(line))), flush=True)
