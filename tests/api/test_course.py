"""The course of one statistic: columns of equal length, thinned with what happened kept, as JSON and CSV."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import httpx
import msgspec
import pytest
from tests.api.bodies import Push, check_problem
from tests.api.glimpses import a_statistic
from tests.api.workers import Workers

from nplmon.api.course_columns import COLUMNS
from nplmon.broker import Broker
from nplmon.broker.judgement import NULL_LEVELS
from nplmon.broker.messages import HistoryEntry, Statistic

pytestmark = pytest.mark.anyio

QUANTILES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)


def entry(sequence: int, **changes: Any) -> HistoryEntry:
    score = a_statistic(
        value=math.sin(sequence),
        sequence=sequence,
        null_mean=4.0,
        null_deviation=1.0,
        null_quantiles=QUANTILES,
        p_threshold=0.01,
        width=0.7,
    )
    own = Statistic(
        kind="t_chunk", value=float(sequence), state="calibrated", p=0.5, z=0.0, sequence=sequence
    )
    evidence = a_statistic(kind="log_e", value=-1.0, p=None, state="exact", sequence=sequence)
    plain = {
        "sequence": sequence,
        "chunk": f"c{sequence}",
        "state": "applied",
        "events": 20,
        "exposure": 1.5,
        "accepted_at": 100.0 + sequence,
        "applied_at": 101.0 + sequence,
        "fit_seconds": 0.25,
        "trainer": "t1",
        "statistics": {"t_chunk": own, "t_score": score, "log_e": evidence},
    }
    return HistoryEntry(**{**plain, **changes})


@pytest.fixture
async def run(push: Push, workers: Workers, broker: Broker) -> None:
    """Open run `r`; its history is then written as it is wanted."""
    await push()
    await workers.finish()
    await workers.apply(deciding="t_score")


async def written(broker: Broker, entries: list[HistoryEntry]) -> None:
    key = "nplmon:{m}:run:r:history"
    await broker.connection.ask("DEL", key)
    await broker.connection.ask("RPUSH", key, *map(msgspec.json.encode, entries))


async def course(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await client.get("/v1/monitors/m/course", params=query)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert {len(found[name]) for name in COLUMNS} == {len(found["sequence"])}
    return found


async def test_all_columns(client: httpx.AsyncClient, run: None, broker: Broker) -> None:
    dead = entry(2, state="dead", statistics={}, fit_seconds=None, trainer=None, error="boom")
    await written(broker, [entry(1), dead, entry(3, alarm="warning")])
    found = await course(client)
    assert (found["monitor"], found["run"], found["run_epoch"]) == ("m", "r", 1)
    assert (found["kind"], found["deciding"], found["total"]) == ("t_score", "t_score", 3)
    assert (found["last"], found["downsampled"]) == (3, False)
    assert found["sequence"] == [1, 2, 3]
    assert found["state"] == ["applied", "dead", "applied"]
    assert found["alarm"] == ["ok", "ok", "warning"]
    assert found["value"] == [pytest.approx(math.sin(1)), None, pytest.approx(math.sin(3))]
    assert found["statistic_state"] == ["closed form", None, "closed form"]
    assert (found["threshold"][0], found["warning"][0], found["p"][0], found["width"][0]) == (
        20,
        15,
        0.1,
        0.7,
    )
    assert found["p_threshold"] == [0.01, None, 0.01]
    assert (found["null_mean"][0], found["null_deviation"][0]) == (4, 1)
    assert (found["quantile_levels"], found["quantiles"]) == (
        list(NULL_LEVELS),
        [list(QUANTILES), None, list(QUANTILES)],
    )
    assert found["t_chunk"] == [1, None, 3]
    assert (found["t_chunk_p"][0], found["t_chunk_z"][0]) == (0.5, 0)
    assert (found["accepted_at"][0], found["applied_at"][0]) == (101, 102)
    assert (found["events"][1], found["exposure"][1]) == (20, 1.5)
    assert (found["fit_seconds"], found["trainer"]) == ([0.25, None, 0.25], ["t1", None, "t1"])


@pytest.mark.parametrize(
    ("kind", "value"), [("t_chunk", 1), ("log_e", -1), ("t_agg", None), ("t_profiled", None)]
)
async def test_the_kind_is_chosen(
    client: httpx.AsyncClient, run: None, broker: Broker, kind: str, value: float | None
) -> None:
    await written(broker, [entry(1)])
    found = await course(client, kind=kind)
    assert (found["kind"], found["value"], found["quantiles"]) == (kind, [value], [None])
    assert found["t_chunk"] == [1]


async def test_a_long_course_is_thinned_by_the_kind_that_is_shown(
    client: httpx.AsyncClient, run: None, broker: Broker
) -> None:
    entries = [entry(sequence) for sequence in range(1, 1201)]
    entries[700] = entry(701, statistics={"t_score": a_statistic(value=50.0, sequence=701)})
    entries[800:] = [msgspec.structs.replace(one, alarm="warning") for one in entries[800:]]
    await written(broker, entries)
    found = await course(client, points=50)
    assert len(found["sequence"]) <= 50
    assert found["downsampled"]
    assert (found["total"], found["last"]) == (1200, 1200)
    assert {1, 701, 801, 1200} <= set(found["sequence"])
    assert 701 not in (await course(client, points=10, kind="log_e"))["sequence"]


async def test_what_is_new(client: httpx.AsyncClient, run: None, broker: Broker) -> None:
    await written(broker, [entry(sequence) for sequence in range(1, 6)])
    found = await course(client, since=3)
    assert (found["sequence"], found["last"], found["total"]) == ([4, 5], 5, 5)
    assert (await course(client, since=9))["last"] == 9


async def test_table(client: httpx.AsyncClient, run: None, broker: Broker) -> None:
    await written(broker, [entry(1), entry(2, state="dead", statistics={}, trainer=None)])
    answer = await client.get("/v1/monitors/m/course.csv?kind=t_score")
    assert answer.headers["content-type"].startswith("text/csv")
    first, second = csv.DictReader(io.StringIO(answer.text))
    assert (first["sequence"], first["chunk"], first["t_chunk"], first["alarm"]) == ("1", "c1", "1.0", "ok")
    assert [first[f"quantile_{level:g}"] for level in NULL_LEVELS] == [str(one) for one in QUANTILES]
    assert (second["state"], second["value"], second["quantile_0.5"], second["trainer"]) == (
        "dead",
        "",
        "",
        "",
    )


async def test_a_run_without_a_chunk_applied_has_empty_columns(client: httpx.AsyncClient, push: Push) -> None:
    check_problem(await client.get("/v1/monitors/m/course"), 404, "unknown-run", "run")
    await push()
    found = await course(client)
    assert (found["sequence"], found["deciding"], found["total"]) == ([], None, 0)
    assert (await client.get("/v1/monitors/m/course.csv")).text.count("\n") == 1


@pytest.mark.parametrize(
    ("query", "field"), [("kind=t", "kind"), ("points=9", "points"), ("since=-1", "since")]
)
async def test_refused(client: httpx.AsyncClient, run: None, query: str, field: str) -> None:
    check_problem(await client.get(f"/v1/monitors/m/course?{query}"), 422, "settings", field)
    check_problem(await client.get(f"/v1/monitors/m/course.csv?{query}"), 422, "settings", field)
