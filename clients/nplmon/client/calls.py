"""Every request of the service's HTTP interface, described once for both clients.

Arguments that several calls share: `monitor`, `run` and `chunk` are names; `run=None` means the run
opened last; `features` names the columns of `events` where they are not in the monitor's order.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar
from urllib.parse import quote

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nplmon.client.alarm_records import Handling
from nplmon.client.conversation import Answer, Call
from nplmon.client.decoding import Json, decode, encode
from nplmon.client.errors import UnexpectedAnswer
from nplmon.client.findings import Where
from nplmon.client.npy import NpyBody
from nplmon.client.records import (
    AlarmPolicy,
    ChunkPlace,
    Control,
    DensityRatio,
    History,
    Kernel,
    Monitor,
    Pool,
    PoolAdded,
    Receipt,
    Reference,
    Run,
    Status,
)

R = TypeVar("R")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Events to push, with the id that makes pushing them twice harmless."""

    events: ArrayLike
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    exposure: float | None = None
    source_time: float | dt.datetime | None = None
    features: Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Ratios:
    """The running averaged density ratio at points, each of shape (N,) and float64."""

    monitor: str
    run: str
    sequence: int
    form: str
    log_ratio: NDArray[np.float64]
    ratio: NDArray[np.float64]


def put_reference(
    name: str,
    events: ArrayLike,
    features: Sequence[str],
    units: Sequence[str] | None = None,
    weights: ArrayLike | None = None,
    pool_share: float | None = None,
) -> Call[Reference]:
    """Store a reference sample; the same content again changes nothing.

    Parameters
    ----------
    name:
        New content under an old name becomes its newest version; monitors keep the version they have.
    events:
        Shape (N, d), real numbers, at least 100 events.
    features, units:
        One name and one unit ("" for none) per column.
    weights:
        Shape (N,), >= 0.
    pool_share:
        Share of the events that is set aside at random as its pool, not with weights.
    """
    columns = list(features)
    params = {
        "units": None if units is None else ",".join(units),
        "pool": None if pool_share is None else repr(float(pool_share)),
    }
    if weights is not None:
        table = np.asarray(events)
        events = np.column_stack([table, np.asarray(weights)])
        column = "weight"
        while column in columns:
            column += "_"
        columns.append(column)
        params["weights"] = column
    params["features"] = ",".join(columns)
    return Call("PUT", _path("references", name), _record(Reference), params=params, body=NpyBody(events))


def references() -> Call[tuple[Reference, ...]]:
    """List the references, the newest version of each name."""
    return Call("GET", _path("references"), _records(Reference, "references"))


def reference(name: str) -> Call[Reference]:
    """Look up one reference."""
    return Call("GET", _path("references", name), _record(Reference))


def add_to_pool(
    name: str, events: ArrayLike, *, features: Sequence[str] | None = None, version: str | None = None
) -> Call[PoolAdded]:
    """Add events of H0, unweighted and in no fit, to the pool of a reference; the same again adds nothing.

    Parameters
    ----------
    events:
        Shape (N, d), or (N,) for one feature; real numbers.
    version:
        Hash of the reference; None: the newest version of this name.
    """
    params = {"features": _joined(features), "version": version}
    path = _path("references", name, "pool")
    return Call("PUT", path, _record(PoolAdded), params=params, body=NpyBody(events))


def pool(name: str, *, version: str | None = None) -> Call[Pool]:
    """Look at the pool of a reference: its segments, and what each monitor has left of it."""
    return Call("GET", _path("references", name, "pool"), _record(Pool), params={"version": version})


def create_monitor(
    name: str,
    reference: str,
    *,
    features: Sequence[str] | None = None,
    mode: Literal["shape", "rate"] | None = None,
    rate: float | None = None,
    control: Control | Mapping[str, Json] | None = None,
    kernel: Kernel | Mapping[str, Json] | None = None,
    alarm: AlarmPolicy | Mapping[str, Json] | None = None,
    tolerance: Mapping[str, Json] | None = None,
    description: str | None = None,
    handling: Handling | Mapping[str, Json] | None = None,
) -> Call[Monitor]:
    """Create a monitor; what is None takes the service's default.

    Parameters
    ----------
    features:
        A subset of the reference's features, in any order.
    mode, rate:
        "shape" compares distributions only; "rate" also the count, against `rate` events per
        unit of exposure. With a rate in mode "shape" the count is tested apart.
    control:
        In place of a rate in mode "shape": events counted elsewhere, and their exposure.
    kernel, alarm:
        Records, or mappings with only what should differ from the defaults.
    tolerance:
        What difference raises no alarm: {"effect_size": floor, "templates": names of references}.
    handling:
        What people do about its alarms, and who is told.
    """
    said = _settings(
        features=features,
        mode=mode,
        rate=rate,
        control=control,
        kernel=kernel,
        alarm=alarm,
        tolerance=tolerance,
        description=description,
        handling=handling,
    )
    body = {"name": name, "reference": reference, **said}
    return Call("POST", _path("monitors"), _record(Monitor), json=body, repeatable=False)


def monitors() -> Call[tuple[Monitor, ...]]:
    """List the monitors."""
    return Call("GET", _path("monitors"), _records(Monitor, "monitors"))


def monitor(name: str) -> Call[Monitor]:
    """Look up one monitor."""
    return Call("GET", _path("monitors", name), _record(Monitor))


def change_monitor(
    name: str,
    *,
    reference: str | None = None,
    features: Sequence[str] | None = None,
    mode: Literal["shape", "rate"] | None = None,
    rate: float | None = None,
    control: Control | Mapping[str, Json] | None = None,
    kernel: Kernel | Mapping[str, Json] | None = None,
    alarm: AlarmPolicy | Mapping[str, Json] | None = None,
    tolerance: Mapping[str, Json] | None = None,
    description: str | None = None,
    handling: Handling | Mapping[str, Json] | None = None,
) -> Call[Monitor]:
    """Change what is not None and begin a new epoch; refused (`RunsOpen`) while a run is open.

    `description` and `handling` may change at any time; of `handling` what is not given stays.
    """
    said = _settings(
        reference=reference,
        features=features,
        mode=mode,
        rate=rate,
        control=control,
        kernel=kernel,
        alarm=alarm,
        tolerance=tolerance,
        description=description,
        handling=handling,
    )
    return Call("PATCH", _path("monitors", name), _record(Monitor), json=said, repeatable=False)


def delete_monitor(name: str) -> Call[None]:
    """Remove a monitor with all its runs."""
    return Call("DELETE", _path("monitors", name), lambda _: None, repeatable=False)


def push(
    monitor: str,
    run: str,
    events: ArrayLike,
    *,
    chunk: str | None = None,
    exposure: float | None = None,
    source_time: float | dt.datetime | None = None,
    features: Sequence[str] | None = None,
) -> Call[Receipt]:
    """Push one chunk of events; with the receipt it is stored, and it will be counted exactly once.

    Parameters
    ----------
    events:
        Shape (N, d), or (N,) for one feature; real numbers.
    chunk:
        Its id; made up if not given, before the first try, so that retries cannot count it twice.
    exposure:
        > 0; required in mode "rate".
    source_time:
        When the events happened: Unix seconds, or a datetime with a time zone.
    """
    pushed = Chunk(events=events, exposure=exposure, source_time=source_time, features=features)
    return push_chunk(monitor, run, pushed if chunk is None else replace(pushed, id=chunk))


def push_chunk(monitor: str, run: str, chunk: Chunk) -> Call[Receipt]:
    """Push a `Chunk`.

    Raises
    ------
    ValueError
        If its id is not a name of the interface.
    """
    if _NAME.fullmatch(chunk.id) is None:
        raise ValueError(
            f"chunk id {chunk.id!r:.140} is not a name; use 1 to 128 letters, digits, '.', '_' or '-', "
            "beginning with a letter or digit"
        )
    headers = {"Nplmon-Chunk-Id": chunk.id}
    if chunk.exposure is not None:
        headers["Nplmon-Exposure"] = repr(float(chunk.exposure))
    if chunk.source_time is not None:
        headers["Nplmon-Source-Time"] = _seconds(chunk.source_time)
    path = _path("monitors", monitor, "runs", run, "chunks")
    params = {"features": _joined(chunk.features)}
    return Call("POST", path, _receipt, params=params, headers=headers, body=NpyBody(chunk.events))


def statistic(monitor: str, run: str | None = None) -> Call[Status]:
    """Look at a run now: its snapshot, what is pending, how many trainers work."""
    return Call("GET", _path("monitors", monitor, "statistic"), _record(Status), params={"run": run})


def history(monitor: str, run: str | None = None, *, since: int = 0, limit: int = 1000) -> Call[History]:
    """History entries with sequence > `since`; over `limit` of them are thinned, extremes of t_agg kept."""
    params = {"run": run, "since": since, "limit": limit}
    return Call("GET", _path("monitors", monitor, "history"), _record(History), params=params)


def chunk(monitor: str, run: str, chunk: str) -> Call[ChunkPlace]:
    """Say where a chunk is now: queued, leased, fitted, applied or dead."""
    return Call("GET", _path("monitors", monitor, "chunks", chunk), _record(ChunkPlace), params={"run": run})


def density_ratio(monitor: str, run: str | None = None) -> Call[DensityRatio]:
    """Give data, reference and learned density ratio in bins of each feature."""
    return Call(
        "GET", _path("monitors", monitor, "density-ratio"), _record(DensityRatio), params={"run": run}
    )


def where(monitor: str, run: str | None = None) -> Call[Where]:
    """Say where the data differ: features in order, the most anomalous events, a map of two features."""
    return Call("GET", _path("monitors", monitor, "where"), _record(Where), params={"run": run})


def evaluate_ratio(
    monitor: str, events: ArrayLike, run: str | None = None, *, features: Sequence[str] | None = None
) -> Call[Ratios]:
    """Evaluate the running averaged density ratio at `events`, shape (N, d)."""
    params = {"run": run, "features": _joined(features)}
    return Call(
        "POST", _path("monitors", monitor, "density-ratio"), _ratios, params=params, body=NpyBody(events)
    )


def runs(monitor: str) -> Call[tuple[Run, ...]]:
    """List the runs of a monitor, newest first."""
    return Call("GET", _path("monitors", monitor, "runs"), _records(Run, "runs"))


def run(monitor: str, run: str) -> Call[Run]:
    """Look up one run."""
    return Call("GET", _path("monitors", monitor, "runs", run), _record(Run))


def close_run(monitor: str, run: str) -> Call[Run]:
    """Take no more chunks; those accepted are still applied."""
    return Call("POST", _path("monitors", monitor, "runs", run, "close"), _record(Run), repeatable=False)


def reset_run(monitor: str, run: str) -> Call[Run]:
    """Begin a new epoch of the run: all counts and statistics from zero, open."""
    return Call("POST", _path("monitors", monitor, "runs", run, "reset"), _record(Run), repeatable=False)


def _path(*parts: str) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _joined(features: Sequence[str] | None) -> str | None:
    return None if features is None else ",".join(features)


def _settings(**members: object) -> dict[str, Json]:
    return {name: encode(value) for name, value in members.items() if value is not None}


def _seconds(time: float | dt.datetime) -> str:
    if not isinstance(time, dt.datetime):
        return repr(float(time))
    if time.tzinfo is None:
        raise ValueError(
            f"source_time {time} has no time zone; use datetime.now(datetime.UTC) or Unix seconds"
        )
    return repr(time.timestamp())


def _record(kind: type[R]) -> Callable[[Answer], R]:
    return lambda answer: decode(kind, answer.json())


def _records(kind: type[R], member: str) -> Callable[[Answer], tuple[R, ...]]:
    def read(answer: Answer) -> tuple[R, ...]:
        said = answer.json()
        if not isinstance(said, dict) or not isinstance(said.get(member), list):
            raise UnexpectedAnswer(f"the answer has no list {member!r}; is this address an nplmon service?")
        return tuple(decode(kind, item) for item in said[member])

    return read


def _receipt(answer: Answer) -> Receipt:
    duplicate = answer.headers.get("nplmon-duplicate", "").lower() == "true"
    return replace(decode(Receipt, answer.json()), duplicate=duplicate)


def _ratios(answer: Answer) -> Ratios:
    said = answer.json()
    return Ratios(
        monitor=said["monitor"],
        run=said["run"],
        sequence=said["sequence"],
        form=said["form"],
        log_ratio=np.array(said["log_ratio"], dtype=np.float64),
        ratio=np.array(said["ratio"], dtype=np.float64),
    )
