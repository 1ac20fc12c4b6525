"""What a reader of fitted ratios imports needs no torch; the examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nplmon.nplm

MODULES = sorted(path.stem for path in Path(nplmon.nplm.__path__[0]).glob("[a-z]*.py"))
WITHOUT_EXAMPLE = {"errors", "kernel_fit", "newton", "problem", "quasi_newton"}
TORCH_FREE = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is blocked")

sys.meta_path.insert(0, NoTorch())
import numpy as np
from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.basis import Basis
from nplmon.nplm.preparation import prepare
from nplmon.nplm.null import Nulls
from nplmon.nplm.ratio import AveragedRatio, project
from nplmon.nplm.reference import Reference

events = np.random.default_rng(0).normal(size=(500, 1))
basis = Basis.from_bytes(prepare(events, centres=20).to_bytes())
features = basis.features(events)
run = Aggregation(basis, features, None, "shape", 100)
run.apply(np.full(basis.size, 0.1), np.zeros(basis.size), 1.0, 50.0, events[:50])
restored = Aggregation(basis, features, None, "shape", 100)
restored.restore(run.to_bytes(), [events[:50]])
assert restored.statistics()["t_agg"].value == run.statistics()["t_agg"].value
ratio = project(basis, features, np.ones(500), run.log_ratio())
assert AveragedRatio.from_bytes(ratio.to_bytes()).log_ratio(basis, events).shape == (500,)
assert 0 < Nulls(basis=basis, mode="shape").chunk(50.0).tail(3.0) < 1
try:
    import nplmon.nplm.kernel
except ImportError:
    print("fit alone needs torch")
"""


def test_all_but_the_fit_works_without_torch():
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", TORCH_FREE],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert answer.stderr == ""
    assert answer.stdout == "fit alone needs torch\n"


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name: str):
    module = importlib.import_module(f"nplmon.nplm.{name}")
    result = doctest.testmod(module)

    assert result.failed == 0
    assert result.attempted > 0 or name in WITHOUT_EXAMPLE
