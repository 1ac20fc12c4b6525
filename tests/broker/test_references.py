"""References and eigenbases in pieces."""

import asyncio

import pytest
from tests.broker.samples import a_reference

from nplmon.broker import Broker, StoreUnreachable, UnknownReference, pieces

pytestmark = pytest.mark.anyio


async def test_a_reference_comes_back_as_it_was(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 10)
    body = bytes(range(95))
    assert await broker.references.put(a_reference(), body)
    assert not await broker.references.put(a_reference(), body)
    assert await broker.references.get("sm") == a_reference()
    assert await broker.references.body("ab12") == body
    assert len(await broker.connection.ask("KEYS", "*:piece:*")) == 10


async def test_new_content_is_the_newest_version_and_the_old_one_stays(broker: Broker) -> None:
    await broker.references.put(a_reference(), b"old")
    assert await broker.references.put(a_reference(hash="cd34"), b"new")
    assert (await broker.references.get("sm")).hash == "cd34"
    assert await broker.references.body("ab12") == b"old"
    assert [reference.hash for reference in await broker.references.all()] == ["cd34"]


async def test_the_same_content_may_have_two_names(broker: Broker) -> None:
    await broker.references.put(a_reference("one"), b"x")
    assert await broker.references.put(a_reference("two"), b"x")
    assert [reference.name for reference in await broker.references.all()] == ["one", "two"]


async def test_unknown_references(broker: Broker) -> None:
    for missing in (broker.references.get, broker.references.by_hash, broker.references.body):
        with pytest.raises(UnknownReference, match="'none'"):
            await missing("none")


async def test_an_upload_cut_short_is_not_there_and_expires(broker: Broker) -> None:
    await broker.connection.ask("SET", "nplmon:{reference:ab12}:piece:t:0", b"half", "PX", 1000)
    assert await broker.references.basis("ab12", "k") is None
    with pytest.raises(UnknownReference):
        await broker.references.body("ab12")
    await broker.references.put(a_reference(), b"whole")
    (piece,) = [k for k in await broker.connection.ask("KEYS", "*:piece:*") if b":t:" not in k]
    assert await broker.connection.ask("PTTL", piece) == -1


async def test_an_upload_that_ends_before_it_has_a_name_leaves_nothing_without_an_owner(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = broker.connection.ask

    async def cut(command: str, *arguments):
        if command == "HGET":
            raise StoreUnreachable("killed here")
        return await ask(command, *arguments)

    monkeypatch.setattr(broker.connection, "ask", cut)
    with pytest.raises(StoreUnreachable):
        await broker.references.put(a_reference(), b"whole")
    monkeypatch.undo()
    assert await broker.references.all() == []
    assert await broker.references.put(a_reference(), b"whole")


async def test_of_two_uploads_at_once_one_stays_whole_and_nothing_leaks(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await broker.references.put(a_reference(), b"")
    monkeypatch.setattr(pieces, "PIECE_BYTES", 4)
    await asyncio.gather(
        broker.references.put_basis("ab12", "k", b"a" * 40),
        broker.references.put_basis("ab12", "k", b"b" * 40),
    )
    assert await broker.references.basis("ab12", "k") in (b"a" * 40, b"b" * 40)
    assert len(await broker.connection.ask("KEYS", "*:basis:k:piece:*")) == 10
    stored = await broker.references.basis("ab12", "k")
    await broker.references.put_basis("ab12", "k", b"c" * 40)
    assert await broker.references.basis("ab12", "k") == stored


async def test_one_prepares_a_basis_until_its_claim_expires(broker: Broker) -> None:
    assert await broker.references.claim_basis("ab12", "k", "t1", 0.05)
    assert not await broker.references.claim_basis("ab12", "k", "t2", 0.05)
    await asyncio.sleep(0.1)
    assert await broker.references.claim_basis("ab12", "k", "t2", 0.05)
