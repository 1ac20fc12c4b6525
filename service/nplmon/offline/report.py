"""The result of an analysis as JSON: each number with its unit, uncertainty or resolution, and state."""

from __future__ import annotations

import importlib.metadata
import math
import platform
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from nplmon.nplm import KernelModel, SparkerModel
from nplmon.offline.family import DEFAULTS

if TYPE_CHECKING:
    from nplmon.offline.analysis import Analysis
    from nplmon.offline.marginal import Marginal
    from nplmon.offline.sample import Sample
    from nplmon.offline.verdict import Verdict

SCHEMA = "nplmon-analysis-1"
LIBRARIES = ("nplmon", "numpy", "scipy", "torch")


def report(analysis: Analysis) -> dict[str, Any]:
    """Give the result as plain lists, dictionaries and numbers; documented in docs/analyse.md."""
    reference = analysis.model.reference
    run_events = sum(len(chunk.events) for chunk in analysis.chunks)
    return {
        "schema": SCHEMA,
        "answer": _verdict(analysis.answer),
        "statistics": {kind: _verdict(one) for kind, one in analysis.verdicts.items()},
        "chunks": _chunks(analysis),
        "effect_size": _number(analysis.effect_size),
        "exposure_ratio": analysis.exposure_ratio,
        "notes": analysis.notes,
        "marginals": [_marginal(one) for one in analysis.marginals],
        "settings": _settings(analysis),
        "reference": _sample(analysis.reference)
        | {
            "events_used": len(reference.events),
            "events_held_out": analysis.held_out,
            "effective_events": reference.effective_events,
            "sum_weights": reference.sum_weights,
            "content_sha256": reference.content_hash,
        },
        "data": _sample(analysis.data)
        | {"events_used": run_events, "expected": sum(chunk.expected for chunk in analysis.chunks)},
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def _number(value: float) -> float | None:
    """Give a number as JSON has it, which knows no infinity and no NaN."""
    return value if math.isfinite(value) else None


def _verdict(one: Verdict) -> dict[str, Any]:
    """Give a statistic; the unit of values, means and deviations is that of 2 log likelihood ratio."""
    closed, toys = one.closed_form, one.toys
    resolution = toys.resolution if toys is not None and one.state == "toys" else None
    resolution = resolution if one.joint is None else one.joint.resolution
    return {
        "kind": one.kind,
        "value": _number(one.value),
        "unit": "2 log likelihood ratio",
        "p": one.p,
        "p_resolution": resolution,
        "p_error": toys.p_error if toys is not None and one.state == "toys" else None,
        "Z": one.z,
        "state": one.state,
        "closed_form": None
        if closed is None
        else {
            "p": closed.p,
            "log_p": closed.log_p,
            "Z": closed.z,
            "null_mean": closed.mean,
            "null_deviation": closed.deviation,
        },
        "toys": None
        if toys is None
        else {
            "p": toys.p,
            "p_error": toys.p_error,
            "p_resolution": toys.resolution,
            "Z": toys.z,
            "count": len(toys.values),
            "exceeding": toys.exceeding,
            "mean": toys.mean,
            "mean_error": toys.deviation / math.sqrt(len(toys.values)),
            "deviation": toys.deviation,
            "closed_form_ks_p": toys.closed_form_p,
            "values": toys.values.tolist(),
        },
        "note": one.note,
    }


def _chunks(analysis: Analysis) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number, chunk in enumerate(analysis.chunks, 1):
        row: dict[str, Any] = {
            "number": number,
            "file": chunk.file,
            "first_event": chunk.first,
            "events": len(chunk.events),
            "expected": chunk.expected,
            "t_chunk": None,
            "so_far": None,
        }
        if number <= len(analysis.chunk_verdicts):
            row["t_chunk"] = _verdict(analysis.chunk_verdicts[number - 1])
        if analysis.course:
            row["so_far"] = _verdict(analysis.course[number - 1])
        rows.append(row)
    return rows


def _marginal(one: Marginal) -> dict[str, Any]:
    low, high = one.data_interval
    learned = np.where(np.isfinite(one.learned), one.learned, np.nan)
    return {
        "name": one.name,
        "unit": one.unit,
        "edges": one.edges.tolist(),
        "data": one.data.tolist(),
        "data_low": low.tolist(),
        "data_high": high.tolist(),
        "reference": one.reference.tolist(),
        "reference_error": one.reference_error.tolist(),
        "learned": [_number(value) for value in learned.tolist()],
        "shift": one.shift,
        "shift_error": one.shift_error,
        "shift_unit": "standard deviations of the reference",
    }


def _settings(analysis: Analysis) -> dict[str, Any]:
    """Give the settings as they were asked for, and what became of those that were left open."""
    settings = asdict(analysis.settings)
    defaults = DEFAULTS[analysis.settings.model]
    sigmas, quantiles = settings.pop("sigmas"), settings.pop("sigma_quantiles")
    settings |= {"sigma": None, "sigmas": list(analysis.sigmas)}
    default = defaults.get("sigma_quantile")
    settings["sigma_quantiles"] = list(quantiles) or ([] if sigmas or default is None else [default])
    settings |= {name: value for name, value in defaults.items() if settings.get(name, 0) is None}
    model = analysis.model
    if isinstance(model, KernelModel):
        # Centres that the others span are left out of the basis.
        basis = model.basis
        settings |= {"centres_used": len(basis.centres), "components": basis.size, "sigma": basis.sigma}
    elif isinstance(model, SparkerModel):
        settings["sigma"] = model.sigma
    settings["sigma_unit"] = "standard deviations of the reference"
    settings["lambda"] = settings.pop("lambda_")
    return settings


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "files": [asdict(source) for source in sample.sources],
        "events": len(sample.events),
        "features": list(sample.features),
        "units": list(sample.units),
        "weighted": sample.weights is not None,
    }
