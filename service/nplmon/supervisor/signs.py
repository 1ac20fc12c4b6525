"""Signs of life: which processes of the service answer, and where their metrics are."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import msgspec

from nplmon.broker import Broker, BrokerError
from nplmon.supervisor.port import authority


class SignsOfLife:
    """Looks for the API over HTTP and for trainers and the aggregator in the store.

    Parameters
    ----------
    api:
        Address of the API.
    store:
        Address of the store.
    host:
        Where the servers of trainers and aggregators listen.
    """

    def __init__(self, api: str, store: str, host: str) -> None:
        self._api = api
        self._host = host
        self._broker = Broker.connect(store)
        # A proxy of the environment has no business between us and our own machine.
        self._http = httpx.AsyncClient(trust_env=False, timeout=2.0)

    async def api_ready(self) -> bool:
        """Whether `/readyz` says 200."""
        try:
            return (await self._http.get(f"{self._api}/readyz")).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    async def metrics(self, pids: Mapping[str, int | None]) -> dict[str, str]:
        """Metrics addresses of those children that gave a sign of life.

        Parameters
        ----------
        pids:
            Process ids by child. A sign of a predecessor that has not expired yet has another id.
        """
        try:
            workers = await self._broker.workers.all()
        except (BrokerError, msgspec.MsgspecError):  # no store now, or a worker of another version in it
            return {}
        ports = {worker.pid: worker.metrics_port for worker in workers}
        return {
            name: f"http://{authority(self._host, ports[pid])}/metrics"
            for name, pid in pids.items()
            if pid is not None and pid in ports
        }

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        await self._broker.close()
