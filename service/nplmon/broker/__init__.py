"""The Redis contract: keys, typed Lua functions, messages, and the embedded store."""

from nplmon.broker.admission import Admitted, Backlog
from nplmon.broker.broker import Broker
from nplmon.broker.errors import (
    AlarmChanged,
    BrokerError,
    EpochMoved,
    MonitorExists,
    MonitorOutdated,
    NoAlarm,
    NoCalibration,
    PayloadLost,
    PoolFull,
    RunClosed,
    RunsOpen,
    StoredOtherwise,
    StoreFull,
    StoreUnreachable,
    UnknownChunk,
    UnknownMonitor,
    UnknownReference,
    UnknownRun,
)
from nplmon.broker.leases import Lease

__all__ = [
    "Admitted",
    "AlarmChanged",
    "Backlog",
    "Broker",
    "BrokerError",
    "EpochMoved",
    "Lease",
    "MonitorExists",
    "MonitorOutdated",
    "NoAlarm",
    "NoCalibration",
    "PayloadLost",
    "PoolFull",
    "RunClosed",
    "RunsOpen",
    "StoreFull",
    "StoreUnreachable",
    "StoredOtherwise",
    "UnknownChunk",
    "UnknownMonitor",
    "UnknownReference",
    "UnknownRun",
]
