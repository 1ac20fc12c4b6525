"""The declaration of atomic changes."""

from collections.abc import Sequence

import pytest

from nplmon.broker import (
    Broker,
    StoreFull,
    StoreUnreachable,
    admission,
    alarms,
    journal,
    monitors,
    pieces,
    runs,
    statistics,
    toys,
    work,
)
from nplmon.broker.connection import BLOCK_SECONDS, SOCKET_SECONDS, block_milliseconds
from nplmon.broker.keys import Key
from nplmon.broker.lua import Function, function, word


@function(
    "return {first, second, text, #rest, rest[1] or '', #more, more[1] or '', #others, others[1] or ''}"
)
def echo(
    *, first: Key, second: Key, others: Sequence[Key], text: bytes, rest: Sequence[bytes], more: Sequence[int]
) -> list[bytes]:
    """Give everything back. Invariant: none. Keys: all. Returns all."""
    raise NotImplementedError


@pytest.mark.anyio
async def test_parameters_reach_the_script_by_name_in_any_order(broker: Broker) -> None:
    reply = await echo(
        broker.connection,
        text=b"\x00\xff",
        more=[7, 8],
        rest=[],
        others=[Key("{k}c")],
        second=Key("{k}b"),
        first=Key("{k}a"),
    )
    assert reply == [b"{k}a", b"{k}b", b"\x00\xff", 0, b"", 2, b"7", 1, b"{k}c"]


@pytest.mark.anyio
async def test_a_server_that_forgot_its_scripts_learns_them_again(broker: Broker) -> None:
    arguments = {"first": Key("a"), "second": Key("a"), "others": [], "text": b"", "rest": [], "more": []}
    await echo(broker.connection, **arguments)
    await broker.connection.ask("SCRIPT", "FLUSH")
    assert (await echo(broker.connection, **arguments))[0] == b"a"
    assert (await echo(broker.connection, **arguments))[0] == b"a"


@pytest.mark.anyio
async def test_many_values_pass_through_one_call(broker: Broker) -> None:
    """Lua's unpack() takes some thousand values only, and a run may drop more at once."""
    reply = await echo(
        broker.connection, first=Key("a"), second=Key("a"), others=[], text=b"", rest=[], more=range(20_000)
    )
    assert reply[5] == 20_000


def test_a_scalar_after_a_sequence_is_refused() -> None:
    with pytest.raises(TypeError, match="sequences last"):

        @function("")
        def wrong(*, values: Sequence[int], name: str) -> bytes:
            raise NotImplementedError


@pytest.mark.parametrize("room", [admission, alarms, journal, monitors, pieces, runs, statistics, toys, work])
def test_each_atomic_change_states_its_contract(room: object) -> None:
    declared = [value for value in vars(room).values() if isinstance(value, Function)]
    assert declared
    for one in declared:
        text = one.__doc__ or ""
        assert "Keys:" in text, one.name
        assert "Returns" in text, one.name
        assert "Invariant:" in text or "changes nothing" in text, one.name


def test_an_unknown_status_word_is_an_error() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        word(b"nonsense", "saved", "fenced")


def test_a_blocking_read_never_outlasts_the_socket() -> None:
    assert BLOCK_SECONDS < SOCKET_SECONDS
    assert block_milliseconds(3600.0) == BLOCK_SECONDS * 1000


@pytest.mark.anyio
async def test_no_answer_is_our_error() -> None:
    broker = Broker.connect("unix:///nowhere/valkey.sock")
    with pytest.raises(StoreUnreachable, match="no answer"):
        await broker.ping()
    with pytest.raises(StoreUnreachable):
        await broker.monitors.names()
    await broker.close()


@pytest.mark.anyio
async def test_a_full_store_is_our_error_and_keeps_nothing_half_done(broker: Broker, monitor: object) -> None:
    from tests.broker.samples import admit, keys_of

    before = await keys_of(broker)
    await broker.connection.ask("CONFIG", "SET", "maxmemory", "1mb")
    try:
        with pytest.raises(StoreFull, match="refuses writes"):
            await admit(broker)
        assert await keys_of(broker) == before
    finally:
        await broker.connection.ask("CONFIG", "SET", "maxmemory", "0")
    assert (await admit(broker)).status == "accepted"
