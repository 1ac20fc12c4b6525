"""The statistics of a run in one process and one thread, for each kernel width: `python serial.py DIRECTORY`.

The directory holds `reference.npy` and the chunks as `NAME.npy`. Each line of input is one run, `{"kernel", "order"}`:
the settings of the kernel and the names of its chunks; the line of output gives the statistics after each of them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.preparation import prepare
from nplmon.nplm.reference import Reference


def statistics(
    directory: Path, kernel: dict[str, Any], order: list[str]
) -> list[list[dict[str, tuple[float, float]]]]:
    """Give value and log p of each statistic after each chunk, for each kernel width."""
    lambda_, quantiles = kernel.pop("lambda"), kernel.pop("sigma_quantiles")
    assert not kernel.pop("sigmas")
    return [one_width(directory, order, lambda_=lambda_, sigma_quantile=q, **kernel) for q in quantiles]


def one_width(directory: Path, order: list[str], **settings: Any) -> list[dict[str, tuple[float, float]]]:
    """Give value and log p of each statistic after each chunk."""
    reference = np.load(directory / "reference.npy")
    basis = prepare(reference, **settings)
    features = basis.features(reference)
    prepared = KernelModel(Reference(reference), basis, features)
    run = Aggregation(basis, features, None, "shape", event_cap=200_000)
    values = []
    for name in order:
        events = np.load(directory / f"{name}.npy")
        expected = float(len(events))
        fitted = prepared.fit(events, expected)
        run.apply(fitted.coefficients, fitted.score, fitted.statistic, expected, events)
        values.append({kind: (one.value, one.log_p) for kind, one in run.statistics().items()})
    return values


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in sys.stdin:
        print(json.dumps(statistics(Path(sys.argv[1]), **json.loads(line))), flush=True)
