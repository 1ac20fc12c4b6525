"""Prepared references of monitors: from memory, from disk, from the store, or made now and stored for all.

The eigenbasis is made once and shared through the store, so that all trainers fit in the same one; the features of the
reference events, the largest part, are a cache on the local disk that any process can make anew from the basis.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import safetensors.numpy
import structlog
from safetensors import SafetensorError

from nplmon.broker.errors import BrokerError
from nplmon.nplm.basis import Basis, basis_keys, kernel_widths
from nplmon.nplm.preparation import prepare
from nplmon.nplm.reference import Reference

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from nplmon.broker import Broker
    from nplmon.broker.messages import Monitor

CLAIM_SECONDS = 20.0
"""When a process that prepares has given no sign for this long, another begins anew."""
WAIT_SECONDS = 0.2
KEPT = 4
"""Prepared references in memory."""

log = structlog.get_logger()


@dataclass(frozen=True)
class PreparedWidth:
    """A reference with one kernel width.

    Attributes
    ----------
    key:
        Names the reference and the settings of the eigenbasis.
    basis:
        The eigenbasis.
    features:
        psi at the reference's events, float32 (N_R, r).
    """

    key: str
    basis: Basis
    features: NDArray[np.float32]


@dataclass(frozen=True)
class Prepared:
    """A monitor's reference, ready for fits and aggregation.

    Attributes
    ----------
    reference:
        Its events in the monitor's features, and weights.
    widths:
        What is prepared for each kernel width, in increasing width.
    """

    reference: Reference
    widths: tuple[PreparedWidth, ...]

    @property
    def key(self) -> str:
        """Name the reference and the settings of all its eigenbases."""
        return "+".join(width.key for width in self.widths)

    @property
    def sigmas(self) -> tuple[float, ...]:
        """The kernel widths, in reference standard deviations."""
        return tuple(width.basis.sigma for width in self.widths)


class PreparedReferences:
    """Gives the prepared reference of each monitor.

    Parameters
    ----------
    broker:
        Where references and eigenbases are.
    directory:
        Where the features are cached, one safetensors file each, named by content.
    holder:
        The name of this process.
    """

    def __init__(self, broker: Broker, directory: Path, holder: str) -> None:
        self._broker = broker
        self._directory = directory
        self._holder = holder
        self._memory: OrderedDict[tuple[str, ...], Prepared] = OrderedDict()
        self._lock = asyncio.Lock()

    async def get(self, monitor: Monitor) -> Prepared:
        """Give a monitor's prepared reference; the first time this takes seconds.

        Raises
        ------
        UnknownReference
            If the store has lost it.
        """
        kernel = monitor.kernel
        keys = basis_keys(
            monitor.features,
            kernel.centres,
            kernel.lambda_,
            kernel.sigmas,
            kernel.sigma_quantiles,
            kernel.seed,
        )
        key = (monitor.reference_hash, *keys)
        async with self._lock:
            if key not in self._memory:
                self._memory[key] = await self._load(monitor, keys)
            self._memory.move_to_end(key)
            while len(self._memory) > KEPT:
                self._memory.popitem(last=False)
            return self._memory[key]

    async def _load(self, monitor: Monitor, keys: tuple[str, ...]) -> Prepared:
        references, reference_hash = self._broker.references, monitor.reference_hash
        stored_reference = await references.by_hash(reference_hash)
        body = await references.body(reference_hash)
        columns = [stored_reference.features.index(feature) for feature in monitor.features]
        reference = (await asyncio.to_thread(Reference.from_bytes, body)).columns(columns)
        kernel = monitor.kernel
        wanted = zip(keys, kernel_widths(kernel.sigmas, kernel.sigma_quantiles), strict=True)
        widths = [await self._width(monitor, reference, key, *width) for key, width in wanted]
        return Prepared(reference, tuple(widths))

    async def _width(
        self, monitor: Monitor, reference: Reference, key: str, sigma: float | None, quantile: float
    ) -> PreparedWidth:
        references, reference_hash = self._broker.references, monitor.reference_hash
        while (stored := await references.basis(reference_hash, key)) is None:
            if not await references.claim_basis(reference_hash, key, self._holder, CLAIM_SECONDS):
                await asyncio.sleep(WAIT_SECONDS)
                continue
            made = await self._prepare(monitor, reference, key, sigma, quantile)
            await references.put_basis(reference_hash, key, made.to_bytes())
        # From the bytes, also where it was made here: every process works with the same numbers.
        basis = Basis.from_bytes(stored)
        # The digest, because a basis made anew, after the store lost it, may differ by signs and rotations.
        name = f"{reference_hash[:32]}-{key}-{hashlib.sha256(stored).hexdigest()[:16]}"
        path = self._directory / f"{name}.safetensors"
        features = await asyncio.to_thread(cached_features, path, basis, reference.events)
        log.info(
            "reference ready",
            monitor=monitor.name,
            events=len(reference.events),
            sigma=basis.sigma,
            components=basis.size,
        )
        return PreparedWidth(name, basis, features)

    async def _prepare(
        self, monitor: Monitor, reference: Reference, key: str, sigma: float | None, quantile: float
    ) -> Basis:
        """Make the eigenbasis of one width in a thread, and keep the claim on it meanwhile."""
        log.info(
            "preparing the reference",
            monitor=monitor.name,
            events=len(reference.events),
            sigma=sigma,
            sigma_quantile=None if sigma else quantile,
        )
        kernel, reference_hash = monitor.kernel, monitor.reference_hash
        making = asyncio.create_task(
            asyncio.to_thread(
                prepare,
                reference.events,
                reference.weights,
                centres=kernel.centres,
                lambda_=kernel.lambda_,
                sigma=sigma,
                sigma_quantile=quantile,
                seed=kernel.seed,
            )
        )
        while not making.done():
            await asyncio.wait([making], timeout=CLAIM_SECONDS / 4)
            with suppress(BrokerError):  # without a store the claim lapses; what is made is still right
                await self._broker.references.claim_basis(reference_hash, key, self._holder, CLAIM_SECONDS)
        return making.result()


def cached_features(path: Path, basis: Basis, events: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give psi at the reference events, float32 (N_R, r), from the file or made now and written to it."""
    try:
        features = safetensors.numpy.load_file(path)["features"]
    except (OSError, SafetensorError, KeyError):
        pass  # not there yet, or cut off by a full disk: it is made anew below
    else:
        if features.shape == (len(events), basis.size):
            return features
    features = basis.features(events)
    # Named by process, renamed when whole: two processes may write it at once.
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        safetensors.numpy.save_file({"features": features}, part)
        part.replace(path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            part.unlink()
        log.warning("cannot cache the reference's features", path=str(path), error=str(error))
    return features
