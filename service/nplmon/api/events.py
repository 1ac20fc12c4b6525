"""Events: a body read as the float32 array of the features that are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nplmon.api.arrow import read_arrow
from nplmon.api.bodies import ARROW, NPY
from nplmon.api.json_events import BodyT, read_json
from nplmon.api.names import checked_features
from nplmon.api.npy import read_npy
from nplmon.api.problems import Problem
from nplmon.api.tables import Table, chosen_events

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def read_events(
    kind: str,
    body: bytes | bytearray,
    features: tuple[str, ...],
    columns: tuple[str, ...] | None,
    form: type[BodyT],
) -> tuple[NDArray[np.float32], BodyT | None]:
    """Read events and choose the wanted features.

    Parameters
    ----------
    kind:
        Media type of the body.
    features:
        The features wanted, in order.
    columns:
        Names of the body's columns, where the request gave them; None: they are `features`.
    form:
        Members that a JSON body may have.

    Returns
    -------
    numpy.ndarray, msgspec.Struct or None
        float32 (N, d), row major, little-endian, finite; and a JSON body's other members.

    Raises
    ------
    Problem
        What is wrong with the body.
    """
    table: Table
    if kind == ARROW:
        table = read_arrow(body, features)
        return chosen_events(table, features, table.names), None
    if kind == NPY:
        return chosen_events(
            read_npy(body), features, None if columns is None else checked_features(columns)
        ), None
    table, members = read_json(body, form)
    names = agreed_columns(columns, table.names)
    return chosen_events(table, features, names), members


def agreed_columns(query: tuple[str, ...] | None, body: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Give the column names that the query or a JSON body names.

    Raises
    ------
    Problem
        `features`, if both name them and differ, or if a name is not one.
    """
    if query is not None and body is not None and query != body:
        raise Problem(
            "features",
            f"The query names {', '.join(query)}, the body {', '.join(body)}.",
            field="features",
            value=", ".join(body),
            remedy="Name the features once.",
        )
    names = body if query is None else query
    return None if names is None else checked_features(names)
