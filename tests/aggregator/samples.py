"""A small reference, its fits and its ledger, all in this process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
import numpy as np
import safetensors.numpy

from nplmon.aggregator.ledger import Ledger
from nplmon.broker import Broker
from nplmon.broker.messages import Death, Fit, KernelSettings, Monitor, Receipt, Reference, Run
from nplmon.nplm import reference as nplm_reference
from nplmon.nplm.basis import basis_key
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.preparation import prepare
from nplmon.prepared import Prepared

SEED = 7
HASH = "ab12"
EVENTS = 80
KERNEL = KernelSettings(centres=40)


def sample(events: int, *seed: int) -> np.ndarray:
    """Draw events with two features."""
    return np.random.default_rng([SEED, *seed]).exponential(size=(events, 2)).astype(np.float32)


def chunk(sequence: int) -> np.ndarray:
    """Give the events of one chunk."""
    return sample(EVENTS, sequence)


@cache
def prepared() -> Prepared:
    """Give the prepared reference."""
    events = sample(2000)
    basis = prepare(events, centres=KERNEL.centres)
    return Prepared("k", basis, nplm_reference.Reference(events), basis.features(events))


@cache
def fits_on() -> KernelModel:
    """Give the reference as a trainer has it."""
    return KernelModel(prepared().reference, prepared().basis, prepared().features)


def a_monitor(name: str = "m", **changes: Any) -> Monitor:
    """Give a monitor over the reference."""
    plain = Monitor(
        name=name,
        epoch=1,
        reference="r",
        reference_hash=HASH,
        features=("x", "y"),
        units=("GeV", ""),
        kernel=KERNEL,
        created_at=1.0,
        changed_at=1.0,
    )
    return msgspec.structs.replace(plain, **changes)


def a_run(**changes: Any) -> Run:
    """Give a run with nothing in it."""
    plain = Run(
        monitor="m",
        name="a",
        state="open",
        epoch=1,
        monitor_epoch=1,
        accepted=0,
        applied=0,
        dead=0,
        opened_at=1.0,
    )
    return msgspec.structs.replace(plain, **changes)


def a_receipt(sequence: int, events: int = EVENTS, exposure: float | None = None) -> Receipt:
    """Give the receipt of one chunk."""
    return Receipt(
        monitor="m",
        run="a",
        chunk=f"c{sequence}",
        run_epoch=1,
        monitor_epoch=1,
        sequence=sequence,
        events=events,
        digest="",
        exposure=exposure,
        accepted_at=float(sequence),
    )


def fitted(receipt: Receipt, events: np.ndarray, expected: float | None = None) -> Fit:
    """Fit one chunk as a trainer does."""
    found = fits_on().fit(events, float(len(events)) if expected is None else expected)
    return Fit(
        receipt=receipt,
        coefficients=found.coefficients.tobytes(),
        score=found.score.tobytes(),
        t_chunk=found.statistic,
        iterations=found.iterations,
        decrement=found.resolution,
        fit_seconds=0.1,
        trainer="t",
        device="cpu",
        finished_at=2.0,
    )


def a_fit(sequence: int, events: np.ndarray | None = None) -> Fit:
    """Fit the chunk of this number."""
    data = chunk(sequence) if events is None else events
    return fitted(a_receipt(sequence, len(data)), data)


def a_death(sequence: int) -> Death:
    """Let the chunk of this number be dead."""
    return Death(
        receipt=a_receipt(sequence), reason="exception", deliveries=3, error="broken", died_at=float(sequence)
    )


def payloads(sequences: Iterable[int]) -> dict[int, bytes]:
    """Give the stored events of chunks."""
    return {sequence: chunk(sequence).tobytes() for sequence in sequences}


def a_ledger(monitor: Monitor | None = None, event_cap: int = 10_000, exposure_budget: float = 0.5) -> Ledger:
    """Give the ledger of the run, with nothing in it."""
    return Ledger(
        monitor or a_monitor(), a_run(), prepared(), event_cap=event_cap, exposure_budget=exposure_budget
    )


async def store_reference(broker: Broker) -> None:
    """Put the reference and its eigenbasis into the store."""
    one = prepared()
    reference = Reference(
        name="r",
        hash=HASH,
        features=("x", "y"),
        units=("GeV", ""),
        events=2000,
        weighted=False,
        sum_weights=2000.0,
        effective_events=2000.0,
        means=(1.0, 1.0),
        standard_deviations=(1.0, 1.0),
        minima=(0.0, 0.0),
        maxima=(9.0, 9.0),
        created_at=1.0,
    )
    await broker.references.put(reference, safetensors.numpy.save({"events": one.reference.events}))
    key = basis_key(("x", "y"), KERNEL.centres, KERNEL.lambda_, None, KERNEL.sigma_quantile, KERNEL.seed)
    await broker.references.put_basis(HASH, key, one.basis.to_bytes())


async def admit(broker: Broker, *sequences: int, monitor: str = "m", run: str = "a", **changes: Any) -> None:
    """Admit chunks `c1` and on."""
    for sequence in sequences:
        body = chunk(sequence).tobytes()
        wanted = {
            "monitor_epoch": 1,
            "digest": hashlib.sha256(body).hexdigest(),
            "payload": body,
            "events": EVENTS,
            "exposure": None,
            "source_time": None,
            "backlog_limit": 1000,
        }
        admitted = await broker.admission.admit(
            monitor=monitor, run=run, chunk=f"c{sequence}", **wanted | changes
        )
        assert admitted.status == "accepted"


async def fit(broker: Broker, count: int = 100, *, monitor: str = "m", die: bool = False) -> int:
    """Fit up to so many waiting chunks, or let them die; give how many."""
    leases = await broker.leases.take("t", [monitor], count=count, block_seconds=0.05)
    for lease in leases:
        if die:
            assert await broker.leases.hand_back("t", lease, "broken", 1) == "dead"
        else:
            assert lease.payload is not None
            events = np.frombuffer(lease.payload, dtype="<f4").reshape(-1, 2)
            assert await broker.leases.finish("t", lease, fitted(lease.receipt, events)) == "finished"
    return len(leases)
