"""A stream of snapshots as server-sent events, without input or output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote

import httpx

from nplmon.client.conversation import Answer, unavailable
from nplmon.client.decoding import decode
from nplmon.client.errors import ServiceFault, Unavailable, UnexpectedAnswer, refusal
from nplmon.client.records import Snapshot
from nplmon.client.retries import Retries

# The service sends a comment every 15 s; three missed ones mean that the connection is dead.
SILENCE = 45.0


class Subscription:
    """Reads the lines of one stream, remembers where it was, and says when to connect again.

    Parameters
    ----------
    monitor, run:
        Which stream; None: the run opened last.
    retries:
        Its deadline is how long the service may stay away before `Unavailable` is raised.
    """

    def __init__(self, monitor: str, run: str | None, retries: Retries) -> None:
        self.path = f"/v1/monitors/{quote(monitor, safe='')}/events"
        self.params = {} if run is None else {"run": run}
        self._retries = retries
        self._data: list[str] = []
        self._last: Snapshot | None = None
        self._waited = 0.0
        self._tries = 0
        self._event = ""
        self._id = ""

    @property
    def headers(self) -> Mapping[str, str]:
        """What to ask with; the last id seen, once there is one."""
        asked = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        return {**asked, "Last-Event-ID": self._id} if self._id else asked

    def line(self, line: str) -> Snapshot | None:
        """Take one line; gives a snapshot when an event is complete and new."""
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                self._data.append(value)
            elif name == "event":
                self._event = value
            elif name == "id":
                self._id = value
            return None
        data, self._data = "\n".join(self._data), []
        event, self._event = self._event or "statistic", ""
        if not data or event != "statistic":
            return None
        snapshot = decode(Snapshot, json.loads(data))
        self._tries, self._waited = 0, 0.0
        # After a reconnection the service sends the present snapshot again: that is no news.
        if snapshot == self._last:
            return None
        self._last = snapshot
        return snapshot

    def refused(self, answer: Answer) -> float:
        """Seconds until the next try after an answer other than 200; raises if it is final."""
        if 400 <= answer.status < 500 and answer.status != 429:
            raise refusal(answer.status, answer.content)
        if answer.status < 400:
            raise UnexpectedAnswer(f"the stream {self.path} was answered with {answer.status}; expected 200")
        if answer.status not in (429, 502, 503, 504):
            raise ServiceFault(f"the service failed ({answer.status}); its log says why")
        return self._again(answer)

    def lost(self, error: httpx.TransportError | None) -> float:
        """Seconds until the next try after the connection broke or ended; raises past the deadline."""
        self._data, self._event = [], ""
        return self._again(error)

    def _again(self, outcome: Answer | httpx.TransportError | None) -> float:
        self._tries += 1
        error: Unavailable
        error, asked = unavailable(outcome, self._waited, self._tries)
        pause = self._retries.pause(self._tries, asked)
        if self._waited + pause >= self._retries.deadline:
            raise error
        self._waited += pause
        return pause
