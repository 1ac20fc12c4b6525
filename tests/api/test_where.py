"""Where the data differ: as JSON, and the events as a table."""

from __future__ import annotations

import httpx
import pytest
from tests.api.bodies import Push, check_problem
from tests.api.workers import Workers

from nplmon.broker.findings import AnomalousEvent, FeatureRatio, PairMap

pytestmark = pytest.mark.anyio

PATH = "/v1/monitors/m/where"
EVENTS = (
    AnomalousEvent(chunk="c-1", sequence=1, row=4, log_ratio=2.5, values=(7.25, -1.0)),
    AnomalousEvent(chunk="c-1", sequence=1, row=2, log_ratio=1.5, values=(3.0, 0.5)),
)
PAIR = PairMap(
    x="pt",
    y="eta",
    x_edges=(0.0, 1.0),
    y_edges=(0.0, 1.0),
    data=((3,),),
    reference=((2.5,),),
    learned=((None,),),
    excess=4.0,
)


def feature(name: str, rank: int) -> FeatureRatio:
    return FeatureRatio(
        name=name,
        unit="",
        edges=(0.0, 1.0),
        data=(1.0,),
        reference=(2.0,),
        reference_error=(0.1,),
        learned=(1.1,),
        shift=0.0,
        rank=rank,
    )


async def applied(push: Push, workers: Workers) -> None:
    await push()
    await workers.finish()
    await workers.apply(anomalous=EVENTS, pair=PAIR, features=(feature("pt", 2), feature("eta", 1)))


async def test_all_of_it(client: httpx.AsyncClient, push: Push, workers: Workers) -> None:
    await applied(push, workers)
    answer = (await client.get(PATH)).json()
    assert (answer["monitor"], answer["run"], answer["sequence"]) == ("m", "r", 1)
    assert (answer["features"], answer["ranked"]) == (["pt", "eta"], ["eta", "pt"])
    assert answer["anomalous"][0] == {
        "chunk": "c-1",
        "sequence": 1,
        "row": 4,
        "log_ratio": 2.5,
        "values": [7.25, -1.0],
    }
    # What overflows is no number.
    assert answer["pair"]["learned"] == [[None]]


@pytest.mark.parametrize(
    ("path", "accept"), [(PATH, "text/csv"), (PATH, "text/csv; q=0.9, */*"), (f"{PATH}.csv", "*/*")]
)
async def test_the_events_as_a_table(
    client: httpx.AsyncClient, push: Push, workers: Workers, path: str, accept: str
) -> None:
    await applied(push, workers)
    answer = await client.get(path, headers={"Accept": accept})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text.splitlines() == [
        "chunk,sequence,row,log_ratio,pt,eta",
        "c-1,1,4,2.5,7.25,-1.0",
        "c-1,1,2,1.5,3.0,0.5",
    ]


async def test_the_statistic_does_without_it(client: httpx.AsyncClient, push: Push, workers: Workers) -> None:
    """Asked for every second by whoever watches, it would be the larger part of the answer."""
    await applied(push, workers)
    snapshot = (await client.get("/v1/monitors/m/statistic")).json()["snapshot"]
    assert (snapshot["anomalous"], snapshot["pair"]) == ([], None)


@pytest.mark.parametrize("path", [PATH, f"{PATH}.csv"])
async def test_nothing_applied_yet(client: httpx.AsyncClient, push: Push, path: str) -> None:
    check_problem(await client.get(path), 404, "unknown-run", "run")
    await push()
    check_problem(await client.get(path), 404, "no-statistic", "run")
