"""What is measured, by name: each in a process of its own, so that none inherits another's memory or threads."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.problem import Problem
    from benchmarks.row import Row

    Measurement = Callable[[Problem, int, float], list[Row]]

MEASUREMENTS = {
    "fit": "fit:one",
    "toys": "fit:toys",
    "half": "fit:half",
    "processes": "process:two",
    "aggregation": "aggregation:aggregation",
    "preparation": "preparation:preparation",
    "large": "preparation:large",
    "falkon": "logistic_falkon:falkon",
    "lsdd": "drift:lsdd",
    "mmd": "drift:mmd",
    "mmd-largest": "drift:largest",
}
ONE_PROBLEM = {"mmd-largest": "expo", "large": "level1"}  # where it makes sense for one alone
BY_DEFAULT = [name for name in MEASUREMENTS if name != "large"]  # that takes a quarter of an hour and 4 GB
DRIFT = ("lsdd", "mmd", "mmd-largest")
REPEATS = dict.fromkeys(MEASUREMENTS, 9) | {
    "toys": 3,
    "processes": 5,
    "preparation": 3,
    "falkon": 3,
    "mmd": 1,
}
"""Fewer of what takes half a minute."""


def find(name: str) -> Measurement:
    """Import a measurement; it takes a problem, the number of repeats and the memory held before."""
    module, _, function = MEASUREMENTS[name].partition(":")
    found: Measurement = getattr(importlib.import_module(f"benchmarks.{module}"), function)
    return found
