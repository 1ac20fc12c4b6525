"""Saved fits of the families without an eigenbasis: arrays bound to the model that they are of."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import safetensors.numpy

from nplmon.nplm.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.reference import Reference


def model_digest(reference: Reference, settings: Sequence[object]) -> str:
    """Tell apart models whose fits differ: by their reference and their settings."""
    return hashlib.sha256((reference.content_hash + json.dumps(settings)).encode()).hexdigest()[:32]


def pack(
    form: str, model: str, expected: float, statistic: float, arrays: Mapping[str, NDArray[np.float64]]
) -> bytes:
    """Serialise a fit with safetensors.

    Examples
    --------
    >>> body = pack("f-1", "ab", 3.0, 1.5, {"a": np.ones(2)})
    >>> expected, statistic, arrays = unpack(body, "f-1", "ab", "fit", ["a"])
    >>> expected, statistic, arrays[0].tolist()
    (3.0, 1.5, [1.0, 1.0])
    """
    return safetensors.numpy.save(
        {
            "format": np.frombuffer(form.encode(), dtype=np.uint8),
            "model": np.frombuffer(model.encode(), dtype=np.uint8),
            "scalars": np.array([expected, statistic]),
        }
        | {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    )


def unpack(
    body: bytes, form: str, model: str, what: str, names: Sequence[str]
) -> tuple[float, float, list[NDArray[np.float64]]]:
    """Read what `pack` wrote: expected, statistic and the arrays named.

    Raises
    ------
    StateError
        If the bytes are no such fit, or one of a model with another reference or other settings.
    """
    try:
        arrays = safetensors.numpy.load(body)
        expected, statistic = arrays["scalars"].tolist()
        found, of = arrays["format"].tobytes(), arrays["model"].tobytes().decode()
        chosen = [arrays[name] for name in names]
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise StateError(f"{len(body)} bytes are no fit of {what} ({error})") from error
    if found != form.encode():
        raise StateError(f"a fit in format {found!r}: this version reads {form!r}")
    if of != model:
        raise StateError(
            "the fit belongs to another reference or other settings: read it with the model it is of"
        )
    return expected, statistic, chosen
