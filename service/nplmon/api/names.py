"""Names: what references, monitors, runs, chunks and features may be called."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Path, Query

from nplmon.api.problems import Problem

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
ENTRY_PATTERN = r"^[0-9]{1,15}-[0-9]{1,15}$"
"""Id of an entry of the journal or the audit."""
FEATURE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.()\[\]/ -]{0,63}$"

# re's "$" also matches before a final line break, so fullmatch is used on the same patterns.
_NAME = re.compile(NAME_PATTERN)
_FEATURE = re.compile(FEATURE_PATTERN)

NAME_REMEDY = "Use 1 to 128 letters, digits, '.', '_' or '-', beginning with a letter or digit."

ReferencePath = Annotated[str, Path(alias="name", pattern=NAME_PATTERN, description="Name of the reference.")]
MonitorPath = Annotated[str, Path(alias="monitor", pattern=NAME_PATTERN, description="Name of the monitor.")]
RunPath = Annotated[str, Path(alias="run", pattern=NAME_PATTERN, description="Name of the run.")]
ChunkPath = Annotated[str, Path(alias="chunk", pattern=NAME_PATTERN, description="Id of the chunk.")]
TokenPath = Annotated[str, Path(alias="token", pattern=r"^[0-9a-f]{16}$", description="Id of the token.")]
RunQuery = Annotated[
    str | None,
    Query(alias="run", pattern=NAME_PATTERN, description="The run; without it, the one opened last."),
]


def checked_name(field: str, name: str) -> str:
    """Give back `name` if it is one.

    Raises
    ------
    Problem
        `name`, if it is not.

    Examples
    --------
    >>> checked_name("chunk", "fill-7.c12")
    'fill-7.c12'
    """
    if _NAME.fullmatch(name) is None or name.endswith("\n"):
        raise Problem("name", f"{name[:130]!r} is not a name.", field=field, value=name, remedy=NAME_REMEDY)
    return name


def checked_features(features: tuple[str, ...], field: str = "features") -> tuple[str, ...]:
    """Give back feature names if each is one and none is there twice.

    Raises
    ------
    Problem
        `features`, if the list is empty, a name is not one, or a name is repeated.
    """
    if not features:
        raise Problem(
            "features", "No feature is named.", field=field, value="", remedy="Name at least one feature."
        )
    seen = set()
    for feature in features:
        if _FEATURE.fullmatch(feature) is None or feature.endswith("\n"):
            raise Problem(
                "features",
                f"{feature[:80]!r} is not a feature name.",
                field=field,
                value=feature,
                remedy="Use 1 to 64 letters, digits or any of '_.()[]/ -', beginning with a letter or '_'.",
            )
        if feature in seen:
            raise Problem(
                "features",
                f"The feature {feature!r} is named twice.",
                field=field,
                value=feature,
                remedy="Name each feature once.",
            )
        seen.add(feature)
    return features


def listed(text: str | None) -> tuple[str, ...] | None:
    """Split a query's comma-separated list; None stays None.

    Examples
    --------
    >>> listed("pt,eta"), listed("GeV,"), listed(None)
    (('pt', 'eta'), ('GeV', ''), None)
    """
    return None if text is None else tuple(part.strip() for part in text.split(","))
