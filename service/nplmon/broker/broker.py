"""The broker: all that is said over the store."""

from __future__ import annotations

from nplmon.broker.admission import Admission
from nplmon.broker.alarms import Alarms
from nplmon.broker.audit import Audit
from nplmon.broker.calibrations import Calibrations
from nplmon.broker.connection import Connection, connect
from nplmon.broker.dead_letters import DeadLetters
from nplmon.broker.glances import Glances
from nplmon.broker.journal import Journal
from nplmon.broker.leases import Leases
from nplmon.broker.monitors import Monitors
from nplmon.broker.notifications import Notifications
from nplmon.broker.pools import Pools
from nplmon.broker.references import References
from nplmon.broker.runs import Runs
from nplmon.broker.sessions import Sessions
from nplmon.broker.staleness import Staleness
from nplmon.broker.statistics import Statistics
from nplmon.broker.store import Store
from nplmon.broker.tokens import Tokens
from nplmon.broker.toy_batches import ToyBatches
from nplmon.broker.workers import Workers


class Broker:
    """One connection pool and the nouns of the contract on it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.references = References(connection)
        self.pools = Pools(connection)
        self.monitors = Monitors(connection)
        self.runs = Runs(connection)
        self.admission = Admission(connection)
        self.dead_letters = DeadLetters(connection)
        self.leases = Leases(connection)
        self.statistics = Statistics(connection)
        self.alarms = Alarms(connection)
        self.journal = Journal(connection)
        self.notifications = Notifications(connection)
        self.staleness = Staleness(connection)
        self.glances = Glances(connection)
        self.calibrations = Calibrations(connection)
        self.toys = ToyBatches(connection)
        self.workers = Workers(connection)
        self.store = Store(connection)
        self.tokens = Tokens(connection)
        self.sessions = Sessions(connection)
        self.audit = Audit(connection)

    @classmethod
    def connect(cls, url: str) -> Broker:
        """Give a broker on the store at this address; the first command connects.

        Raises
        ------
        ValueError
            If the address is not `redis://`, `rediss://`, `unix://`, `redis+cluster://` or `rediss+cluster://`.
        """
        return cls(connect(url))

    async def ping(self) -> None:
        """Ask for a sign of life.

        Raises
        ------
        StoreUnreachable
            If none comes within two seconds.
        """
        await self.connection.alive()

    async def close(self) -> None:
        """Close all connections."""
        await self.connection.close()
