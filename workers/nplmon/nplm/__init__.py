"""The numerical core: arrays in, numbers out. No Redis, no HTTP, no clock, no global state.

The names below are loaded when they are first used: the models need torch, and a reader of fitted ratios needs none.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nplmon.nplm.eprocess import ChunkEvidence, EProcess
    from nplmon.nplm.evidence import Evidence
    from nplmon.nplm.kernel import KernelFit, KernelModel
    from nplmon.nplm.mlp import MlpFit, MlpModel
    from nplmon.nplm.model import Fitted, Model, fit
    from nplmon.nplm.reference import Reference
    from nplmon.nplm.run import RunResult, Scheme, aggregate
    from nplmon.nplm.sparker import Alternation, SparkerFit, SparkerModel
    from nplmon.nplm.widths import JointP, aggregate_chosen, joint_p, minimum_p

_HOMES = {
    "Alternation": "sparker",
    "ChunkEvidence": "eprocess",
    "EProcess": "eprocess",
    "Evidence": "evidence",
    "Fitted": "model",
    "JointP": "widths",
    "KernelFit": "kernel",
    "KernelModel": "kernel",
    "MlpFit": "mlp",
    "MlpModel": "mlp",
    "Model": "model",
    "Reference": "reference",
    "RunResult": "run",
    "Scheme": "run",
    "SparkerFit": "sparker",
    "SparkerModel": "sparker",
    "aggregate": "run",
    "aggregate_chosen": "widths",
    "fit": "model",
    "joint_p": "widths",
    "minimum_p": "widths",
}

__all__ = [
    "Alternation",
    "ChunkEvidence",
    "EProcess",
    "Evidence",
    "Fitted",
    "JointP",
    "KernelFit",
    "KernelModel",
    "MlpFit",
    "MlpModel",
    "Model",
    "Reference",
    "RunResult",
    "Scheme",
    "SparkerFit",
    "SparkerModel",
    "aggregate",
    "aggregate_chosen",
    "fit",
    "joint_p",
    "minimum_p",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"nplmon.nplm.{_HOMES[name]}"), name)
