"""Events of a reference's pool in the features of a monitor, for all who draw from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.broker import Broker
    from nplmon.broker.messages import Monitor
    from nplmon.broker.pool_messages import Pool


async def pool_events(
    broker: Broker, monitor: Monitor, pool: Pool, first: int | None = None, count: int | None = None
) -> NDArray[np.float32]:
    """Give events of a pool; nothing is used up by reading.

    Parameters
    ----------
    monitor:
        Gives the features and their order.
    pool:
        What `broker.pools.get(monitor.reference_hash)` gave; events added since are not seen.
    first:
        The place of the first event, from `pool.first` on; None: all from the beginning.
    count:
        How many; None: all to the end.

    Returns
    -------
    numpy.ndarray
        float32 (N, d), in random order within each segment; fewer than `count` where the pool ends.

    Raises
    ------
    UnknownReference, StoreUnreachable
        If the store has lost the reference or events of its pool.
    """
    features = (await broker.references.by_hash(pool.reference_hash)).features
    begin = pool.first if first is None else first
    end = pool.first + pool.events
    wanted = end - begin if count is None else count
    body = await broker.pools.read(pool, begin, max(wanted, 0), 4 * len(features))
    events = np.frombuffer(body, dtype="<f4").reshape(-1, len(features))
    columns = [features.index(feature) for feature in monitor.features]
    return np.ascontiguousarray(events[:, columns], dtype=np.float32)
