"""The numerical core: arrays in, numbers out. No Redis, no HTTP, no clock, no global state.

The names below are loaded when they are first used: the models need torch, and a reader of fitted ratios needs none.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nplmon.nplm.calibration import CalibratedP, Calibration
    from nplmon.nplm.contribution import BinnedFeatures, Contribution
    from nplmon.nplm.disagreement import Disagreement
    from nplmon.nplm.effect import EffectSize, FeatureSums, MeanShifts, effect_size, reference_mean_error
    from nplmon.nplm.eprocess import ChunkEvidence, EProcess
    from nplmon.nplm.evidence import Evidence
    from nplmon.nplm.joint_eprocess import JointEProcess
    from nplmon.nplm.kernel import KernelModel
    from nplmon.nplm.kernel_fit import KernelFit
    from nplmon.nplm.level_process import ScoreProcess, cross_moments
    from nplmon.nplm.levels import closed_form_levels
    from nplmon.nplm.mlp import MlpFit, MlpModel
    from nplmon.nplm.model import Fitted, Model, fit
    from nplmon.nplm.rate import Counted, RateTest, combined_log_p
    from nplmon.nplm.reference import Reference
    from nplmon.nplm.run import RunResult, Scheme, aggregate
    from nplmon.nplm.run_length import (
        AlarmLevels,
        PValueThresholds,
        RunLengthThresholds,
        alarm_levels,
        run_length_thresholds,
        toys_needed,
    )
    from nplmon.nplm.sparker import Alternation, SparkerFit, SparkerModel
    from nplmon.nplm.survivors import Survivors
    from nplmon.nplm.templates import Profiled, RunScore, Template, Tolerance
    from nplmon.nplm.toy_plan import ToyPlan, Trajectories
    from nplmon.nplm.toys import replay
    from nplmon.nplm.trajectory import null_sequence, null_trajectories
    from nplmon.nplm.widths import JointP, aggregate_chosen, joint_p, minimum_p

_HOMES = {
    "AlarmLevels": "run_length",
    "Alternation": "sparker",
    "BinnedFeatures": "contribution",
    "CalibratedP": "calibration",
    "Calibration": "calibration",
    "ChunkEvidence": "eprocess",
    "Contribution": "contribution",
    "Counted": "rate",
    "Disagreement": "disagreement",
    "EProcess": "eprocess",
    "EffectSize": "effect",
    "Evidence": "evidence",
    "FeatureSums": "effect",
    "Fitted": "model",
    "JointEProcess": "joint_eprocess",
    "JointP": "widths",
    "KernelFit": "kernel_fit",
    "KernelModel": "kernel",
    "MeanShifts": "effect",
    "MlpFit": "mlp",
    "MlpModel": "mlp",
    "Model": "model",
    "PValueThresholds": "run_length",
    "Profiled": "templates",
    "RateTest": "rate",
    "Reference": "reference",
    "RunLengthThresholds": "run_length",
    "RunResult": "run",
    "RunScore": "templates",
    "Scheme": "run",
    "ScoreProcess": "level_process",
    "SparkerFit": "sparker",
    "SparkerModel": "sparker",
    "Template": "templates",
    "Tolerance": "templates",
    "ToyPlan": "toy_plan",
    "Trajectories": "toy_plan",
    "Survivors": "survivors",
    "aggregate": "run",
    "aggregate_chosen": "widths",
    "alarm_levels": "run_length",
    "closed_form_levels": "levels",
    "combined_log_p": "rate",
    "cross_moments": "level_process",
    "effect_size": "effect",
    "fit": "model",
    "joint_p": "widths",
    "minimum_p": "widths",
    "null_sequence": "trajectory",
    "null_trajectories": "trajectory",
    "reference_mean_error": "effect",
    "replay": "toys",
    "run_length_thresholds": "run_length",
    "toys_needed": "run_length",
}

__all__ = [
    "AlarmLevels",
    "Alternation",
    "BinnedFeatures",
    "CalibratedP",
    "Calibration",
    "ChunkEvidence",
    "Contribution",
    "Counted",
    "Disagreement",
    "EProcess",
    "EffectSize",
    "Evidence",
    "FeatureSums",
    "Fitted",
    "JointEProcess",
    "JointP",
    "KernelFit",
    "KernelModel",
    "MeanShifts",
    "MlpFit",
    "MlpModel",
    "Model",
    "PValueThresholds",
    "Profiled",
    "RateTest",
    "Reference",
    "RunLengthThresholds",
    "RunResult",
    "RunScore",
    "Scheme",
    "ScoreProcess",
    "SparkerFit",
    "SparkerModel",
    "Survivors",
    "Template",
    "Tolerance",
    "ToyPlan",
    "Trajectories",
    "aggregate",
    "aggregate_chosen",
    "alarm_levels",
    "closed_form_levels",
    "combined_log_p",
    "cross_moments",
    "effect_size",
    "fit",
    "joint_p",
    "minimum_p",
    "null_sequence",
    "null_trajectories",
    "reference_mean_error",
    "replay",
    "run_length_thresholds",
    "toys_needed",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"nplmon.nplm.{_HOMES[name]}"), name)
