"""Results as bytes: read as they were written, and refused where another version wrote them."""

from __future__ import annotations

import msgspec
import pytest

from nplmon.broker.encoding import FIT_VERSION, pack, unpack
from nplmon.broker.messages import Death, Fit, Receipt, WidthFit

RECEIPT = Receipt(
    monitor="m",
    run="r",
    chunk="c",
    run_epoch=1,
    monitor_epoch=1,
    sequence=1,
    events=3,
    digest="d",
    accepted_at=1.0,
)
ONE = WidthFit(coefficients=b"\x01" * 8, score=b"\x02" * 8, t_chunk=1.0, iterations=4, decrement=1e-9)
FIT = Fit(
    receipt=RECEIPT,
    widths=(ONE, msgspec.structs.replace(ONE, t_chunk=2.0)),
    fit_seconds=0.1,
    trainer="t",
    device="cpu",
    finished_at=2.0,
)
DEATH = Death(receipt=RECEIPT, reason="crash", deliveries=3, error="", died_at=2.0)


@pytest.mark.parametrize("result", [FIT, DEATH])
def test_a_result_is_read_as_it_was_written(result: Fit | Death) -> None:
    assert unpack(pack(result)) == result


@pytest.mark.parametrize(
    "body",
    [
        b"F",
        bytes([ord("F"), FIT_VERSION + 1]) + pack(FIT)[2:],
        # The first version had one kernel width and did not say its version.
        b"F" + msgspec.msgpack.encode({"coefficients": b"", "score": b"", "t_chunk": 1.0}),
    ],
)
def test_a_fit_of_another_version_is_refused(body: bytes) -> None:
    """Decoded all the same, it might give coefficients of another eigenbasis."""
    with pytest.raises(ValueError, match=r"not 2.: another version of nplmon wrote it.* reset the run"):
        unpack(body)


def test_other_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="not with F or D"):
        unpack(b"X")
