"""A store as it is after many chunks: monitors, each with one run and its history, as the aggregator writes it."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import msgspec

from nplmon.broker.findings import AnomalousEvent, FeatureRatio, PairMap
from nplmon.broker.messages import HistoryEntry, Monitor, Reference, Snapshot, Statistic, StatisticKind

if TYPE_CHECKING:
    from redis import Redis

KINDS: tuple[StatisticKind, ...] = (
    "t_chunk", "t_agg", "t_ref", "t_score", "t_sum",
    "log_e", "log_sr", "log_cusum", "log_e_poisson", "log_sr_poisson", "log_cusum_poisson",
)  # fmt: skip
FEATURES = ("pt1", "pt2", "eta1", "eta2", "dphi")


def statistic(kind: StatisticKind, sequence: int, draw: random.Random) -> Statistic:
    """Give a statistic with all its numbers."""
    evidence = kind.startswith("log")
    return Statistic(
        kind=kind,
        value=draw.gauss(100, 10),
        state="closed form",
        p=draw.random(),
        z=draw.gauss(0, 1),
        null_mean=None if evidence else draw.gauss(100, 1),
        null_deviation=None if evidence else draw.random(),
        null_quantiles=() if evidence else tuple(sorted(draw.gauss(100, 10) for _ in range(7))),
        threshold=draw.gauss(150, 1),
        warning_threshold=draw.gauss(140, 1),
        width=draw.random(),
        sequence=sequence,
        note="takes the reference for H0 itself: exposure 0.12 of the budget of 0.5" if evidence else "",
    )


def entry(sequence: int, draw: random.Random) -> bytes:
    """Give a line of a history."""
    line = HistoryEntry(
        sequence=sequence,
        chunk=f"chunk-{sequence:06d}",
        state="applied",
        events=2000,
        exposure=draw.random(),
        accepted_at=1.7e9 + draw.random(),
        applied_at=1.7e9 + draw.random(),
        fit_seconds=draw.random(),
        trainer="host-4711-abcdef",
        statistics={kind: statistic(kind, sequence, draw) for kind in KINDS},
    )
    return msgspec.json.encode(line)


def snapshot(monitor: str, sequence: int, draw: random.Random) -> bytes:
    """Give a snapshot with five features, a map and the most anomalous events."""
    bins = range(50)
    features = tuple(
        FeatureRatio(
            name=name,
            unit="GeV",
            edges=tuple(draw.random() for _ in range(51)),
            data=tuple(float(draw.randrange(1000)) for _ in bins),
            reference=tuple(draw.random() for _ in bins),
            reference_error=tuple(draw.random() for _ in bins),
            learned=tuple(draw.random() for _ in bins),
            shift=draw.gauss(0, 0.01),
            rank=rank,
        )
        for rank, name in enumerate(FEATURES, 1)
    )
    cells = tuple(tuple(draw.random() for _ in range(20)) for _ in range(20))
    pair = PairMap(
        x="pt1",
        y="eta1",
        x_edges=tuple(draw.random() for _ in range(21)),
        y_edges=tuple(draw.random() for _ in range(21)),
        data=tuple(tuple(draw.randrange(100) for _ in range(20)) for _ in range(20)),
        reference=cells,
        learned=cells,
        excess=1.0,
    )
    anomalous = tuple(
        AnomalousEvent(chunk="c", sequence=1, row=i, log_ratio=draw.random(), values=(1.0,) * 5)
        for i in range(20)
    )
    found = Snapshot(
        monitor=monitor,
        run="r",
        run_epoch=1,
        monitor_epoch=1,
        reference_hash="ab12",
        sequence=sequence,
        chunks=sequence,
        dead=0,
        events=2000 * sequence,
        expected=2000.0 * sequence,
        exposure_ratio=0.1,
        statistics={kind: statistic(kind, sequence, draw) for kind in KINDS},
        deciding="t_score",
        features=features,
        pair=pair,
        anomalous=anomalous,
        updated_at=time.time(),
        last_accepted_at=time.time(),
    )
    return msgspec.json.encode(found)


def fill(redis: Redis, monitors: int, chunks: int) -> float:
    """Write monitors with a run of so many chunks each; give the size of a line, in bytes."""
    draw = random.Random(1)  # noqa: S311 (numbers to measure with)
    reference = Reference(
        name="sm",
        hash="ab12",
        features=FEATURES,
        units=("GeV", "GeV", "", "", "rad"),
        events=100_000,
        weighted=False,
        sum_weights=1e5,
        effective_events=1e5,
        means=(0.0,) * 5,
        standard_deviations=(1.0,) * 5,
        minima=(-3.0,) * 5,
        maxima=(3.0,) * 5,
        created_at=1.0,
    )
    redis.set("nplmon:{reference:ab12}:meta", msgspec.json.encode(reference))
    lines = [entry(sequence, draw) for sequence in range(1, chunks + 1)]
    for number in range(monitors):
        name = f"monitor-{number:02d}"
        prefix = f"nplmon:{{{name}}}"
        monitor = Monitor(
            name=name,
            epoch=1,
            reference="sm",
            reference_hash="ab12",
            features=FEATURES,
            units=reference.units,
            created_at=1.0,
            changed_at=1.0,
        )
        body = msgspec.json.encode(monitor)
        redis.mset({f"{prefix}:monitor": body, f"{prefix}:monitor:1": body})
        redis.sadd("nplmon:monitors", name)
        redis.zadd(f"{prefix}:runs", {"r": 1.0})
        fields = {"state": "open", "epoch": 1, "monitor_epoch": 1, "dead": 0, "opened_at": time.time()}
        counts = {"accepted": chunks, "applied": chunks, "sequence": chunks}
        redis.hset(f"{prefix}:run:r", mapping={**fields, **counts})
        redis.set(f"{prefix}:run:r:snapshot", snapshot(name, chunks, draw))
        for start in range(0, chunks, 500):
            redis.rpush(f"{prefix}:run:r:history", *lines[start : start + 500])
    return sum(map(len, lines)) / max(1, len(lines))
