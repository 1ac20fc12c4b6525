"""Prepared references: one eigenbasis for all, and a cache on disk that is never believed blindly."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.aggregator.samples import a_monitor

from nplmon import prepared
from nplmon.broker import Broker, UnknownReference
from nplmon.broker.messages import KernelSettings, Monitor
from nplmon.nplm.basis import Basis
from nplmon.prepared import PreparedReferences

pytestmark = pytest.mark.anyio

UNPREPARED = a_monitor(kernel=KernelSettings(centres=30, sigma_quantiles=(0.5,)))


def files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count the preparations and the evaluations of features."""
    calls: list[str] = []
    real_prepare, real_features = prepared.prepare, Basis.features

    def prepare(*arguments: Any, **more: Any) -> Basis:
        calls.append("basis")
        time.sleep(0.2)
        return real_prepare(*arguments, **more)

    def features(basis: Basis, x: np.ndarray) -> np.ndarray:
        calls.append("features")
        return real_features(basis, x)

    monkeypatch.setattr(prepared, "prepare", prepare)
    monkeypatch.setattr(Basis, "features", features)
    return calls


async def test_two_processes_prepare_one_basis_once(broker: Broker, tmp_path: Path, made: list[str]) -> None:
    one, other = (PreparedReferences(broker, tmp_path / name, name) for name in ("t1", "t2"))
    first, second = await asyncio.gather(one.get(UNPREPARED), other.get(UNPREPARED))
    assert made.count("basis") == 1
    assert first.widths[0].basis.to_bytes() == second.widths[0].basis.to_bytes()
    assert np.array_equal(first.widths[0].features, second.widths[0].features)
    assert first.key == second.key


async def test_memory_then_disk_then_anew(broker: Broker, tmp_path: Path, made: list[str]) -> None:
    references = PreparedReferences(broker, tmp_path, "t1")
    first = await references.get(UNPREPARED)
    assert made == ["basis", "features"]
    assert await references.get(msgspec.structs.replace(UNPREPARED, name="other")) is first
    again = await PreparedReferences(broker, tmp_path, "t2").get(UNPREPARED)
    assert made == ["basis", "features"]
    assert np.array_equal(again.widths[0].features, first.widths[0].features)
    assert len(files_in(tmp_path)) == 1


@pytest.mark.parametrize("damage", ["cut off", "empty", "other"])
async def test_a_damaged_cache_file_is_made_anew(
    broker: Broker, tmp_path: Path, made: list[str], damage: str
) -> None:
    first = await PreparedReferences(broker, tmp_path, "t1").get(UNPREPARED)
    (path,) = files_in(tmp_path)
    whole = path.read_bytes()
    path.write_bytes({"cut off": whole[: len(whole) // 2], "empty": b"", "other": b"\x08" * 100}[damage])
    again = await PreparedReferences(broker, tmp_path, "t2").get(UNPREPARED)
    assert np.array_equal(again.widths[0].features, first.widths[0].features)
    assert made == ["basis", "features", "features"]
    assert path.read_bytes() == whole


async def test_features_of_a_basis_made_anew_are_not_those_of_the_old_one(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eigenvectors have no sign of their own: an old cache beside a new basis would give wrong fits."""
    first = await PreparedReferences(broker, tmp_path, "t1").get(UNPREPARED)
    for key in await broker.connection.ask("KEYS", "nplmon:{reference:ab12}:basis:*"):
        await broker.connection.ask("DEL", key)
    flipped = turned_around(first.widths[0].basis)
    monkeypatch.setattr(prepared, "prepare", lambda *_, **__: flipped)
    again = await PreparedReferences(broker, tmp_path, "t2").get(UNPREPARED)
    assert np.array_equal(again.widths[0].features, -first.widths[0].features)


def turned_around(basis: Basis) -> Basis:
    fields = {name: getattr(basis, name) for name in basis.__dataclass_fields__}
    return Basis(**fields | {"projection": -basis.projection, "mean_feature": -basis.mean_feature})


async def test_a_directory_that_cannot_be_written_is_no_reason_to_stop(
    broker: Broker, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    found = await PreparedReferences(broker, blocked / "cache", "t1").get(UNPREPARED)
    assert found.widths[0].features.shape == (2000, found.widths[0].basis.size)


@pytest.fixture
def quick_claims(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(prepared, "CLAIM_SECONDS", 0.4)
    monkeypatch.setattr(prepared, "WAIT_SECONDS", 0.02)
    return iter(())


async def test_another_prepares_when_the_first_is_killed(
    broker: Broker, tmp_path: Path, made: list[str], quick_claims: None
) -> None:
    kernel = UNPREPARED.kernel
    (key,) = prepared.basis_keys(
        UNPREPARED.features, kernel.centres, kernel.lambda_, (), kernel.sigma_quantiles, kernel.seed
    )
    assert await broker.references.claim_basis("ab12", key, "killed", 0.4)
    began = time.monotonic()
    await PreparedReferences(broker, tmp_path, "t2").get(UNPREPARED)
    assert made.count("basis") == 1
    assert time.monotonic() - began > 0.3


async def test_a_long_preparation_keeps_its_claim(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_claims: None
) -> None:
    calls = []
    real, begun = prepared.prepare, threading.Event()

    def slow(*arguments: Any, **more: Any) -> Basis:
        calls.append(1)
        begun.set()
        time.sleep(1.2)
        return real(*arguments, **more)

    monkeypatch.setattr(prepared, "prepare", slow)
    first = asyncio.create_task(PreparedReferences(broker, tmp_path, "t1").get(UNPREPARED))
    await asyncio.to_thread(begun.wait, 10)
    await PreparedReferences(broker, tmp_path, "t2").get(UNPREPARED)
    await first
    assert len(calls) == 1


async def test_the_order_of_features_is_the_monitors(broker: Broker, tmp_path: Path) -> None:
    straight = await PreparedReferences(broker, tmp_path, "t1").get(UNPREPARED)
    turned: Monitor = msgspec.structs.replace(UNPREPARED, features=("y", "x"))
    found = await PreparedReferences(broker, tmp_path, "t1").get(turned)
    assert np.array_equal(found.reference.events, straight.reference.events[:, ::-1])
    assert found.key != straight.key


async def test_a_lost_reference_is_told(broker: Broker, tmp_path: Path) -> None:
    with pytest.raises(UnknownReference, match="cd34"):
        await PreparedReferences(broker, tmp_path, "t1").get(a_monitor(reference_hash="cd34"))
