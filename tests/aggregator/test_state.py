"""A saved state is read as it was written, or refused."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.aggregator.samples import a_fit, a_ledger, payloads

from nplmon.aggregator.state import SavedState, StateUnreadableError


@pytest.fixture(scope="module")
def stored() -> bytes:
    return a_ledger().apply([a_fit(1)], payloads([1]), 5.0).state


def test_it_is_read_as_it_was_written(stored: bytes) -> None:
    state = SavedState.from_bytes(stored)
    assert (state.sequence, state.kept, state.reference_hash) == (1, [1], "ab12")
    assert state.to_bytes() == stored


@given(data=st.data())
def test_any_damage_is_refused(stored: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(stored) - 1))
    damaged = bytearray(stored)
    damaged[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StateUnreadableError, match="checksum"):
        SavedState.from_bytes(bytes(damaged))


@pytest.mark.parametrize("length", [0, 10, 32, 1000])
def test_a_state_cut_off_is_refused(stored: bytes, length: int) -> None:
    with pytest.raises(StateUnreadableError, match="checksum"):
        SavedState.from_bytes(stored[:length])


def test_another_version_is_refused(stored: bytes) -> None:
    fields = msgspec.msgpack.decode(stored[32:])
    body = msgspec.msgpack.encode(fields | {"version": 9})
    with pytest.raises(StateUnreadableError, match="version 9, not 4"):
        SavedState.from_bytes(hashlib.sha256(body).digest() + body)
