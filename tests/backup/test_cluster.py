"""A cluster has an image for each node; all of them together come back, also to a single store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from tests.backup.contents import contents
from tests.broker.clusters import cluster
from tests.broker.samples import a_monitor, a_reference, admit

from nplmon.backup import BackupError, restore, save
from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore

NAMES = ["electrons", "jets", "muons", "photons"]


def held(ports: list[int]) -> dict[bytes, Any]:
    found: dict[bytes, Any] = {}
    for port in ports:
        with Redis(port=port, protocol=2) as redis:
            found |= contents(redis)
    return found


@pytest.mark.anyio
async def test_the_nodes_of_a_cluster_come_back_together(
    tmp_path: Path, empty: Redis, other: EmbeddedStore
) -> None:
    with cluster(tmp_path / "nodes", 3) as ports:
        url = f"redis+cluster://127.0.0.1:{ports[0]}"
        broker = Broker.connect(url)
        await broker.references.put(a_reference(), b"events")
        for name in NAMES:
            await broker.monitors.create(a_monitor(name))
            for chunk in ("c1", "c2"):
                await admit(broker, chunk, monitor=name)
            await broker.leases.take("t1", [name], count=1, block_seconds=1.0)
        files = [tmp_path / f"{port}.nplmon" for port in ports]
        for port, file in zip(ports, files, strict=True):
            save(f"redis://127.0.0.1:{port}", file)
        before = held(ports)
        await broker.monitors.delete("muons")
        await admit(broker, "c3", monitor="jets")
        with pytest.raises(BackupError, match="--replace"):
            restore(files, url)
        assert restore(files, url, replace=True).monitors == tuple(NAMES)
        assert held(ports) == before
        assert restore(files, other.url).keys == len(before)
        assert contents(empty) == before
        await broker.close()
