"""The requests about dead letters: chunks that were given up."""

from __future__ import annotations

from urllib.parse import quote

from nplmon.client.conversation import Answer, Call
from nplmon.client.decoding import decode
from nplmon.client.errors import UnexpectedAnswer
from nplmon.client.records import Death, Receipt


def dead(monitor: str) -> Call[tuple[Death, ...]]:
    """List the chunks that were given up."""
    return Call("GET", f"{_path(monitor)}/dead", _deaths)


def replay(monitor: str, run: str, chunk: str) -> Call[Receipt]:
    """Put a dead chunk at the end of the queue again."""
    return Call("POST", f"{_path(monitor, run, chunk)}/replay", _receipt, repeatable=False)


def delete_dead(monitor: str, run: str, chunk: str, *, who: str = "") -> Call[None]:
    """Delete a dead chunk for good: its events are gone, its id is free, and the journal says who did it."""
    path = _path(monitor, run, chunk)
    return Call("DELETE", path, lambda _: None, params={"who": who or None}, repeatable=False)


def _path(monitor: str, run: str | None = None, chunk: str = "") -> str:
    path = f"/v1/monitors/{quote(monitor, safe='')}"
    return path if run is None else f"{path}/runs/{quote(run, safe='')}/chunks/{quote(chunk, safe='')}"


def _deaths(answer: Answer) -> tuple[Death, ...]:
    said = answer.json()
    if not isinstance(said, dict) or not isinstance(said.get("dead"), list):
        raise UnexpectedAnswer("the answer has no list 'dead'; is this address an nplmon service?")
    return tuple(decode(Death, item) for item in said["dead"])


def _receipt(answer: Answer) -> Receipt:
    return decode(Receipt, answer.json())
