"""Templates of monitors in score space: made once from a reference and an eigenbasis, and kept in the store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from nplmon.nplm.reference import Reference
from nplmon.nplm.templates import Template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nplmon.broker import Broker
    from nplmon.broker.messages import Monitor
    from nplmon.nplm.basis import Basis

log = structlog.get_logger()


async def templates_of(broker: Broker, monitor: Monitor, bases: Sequence[Basis]) -> list[list[Template]]:
    """Give the monitor's templates in each of its eigenbases; the first time this takes seconds.

    Parameters
    ----------
    broker:
        Where references are, and what is made from them.
    monitor:
        The monitor.
    bases:
        The eigenbases of its reference, one for each kernel width.

    Returns
    -------
    list[list[Template]]
        For each eigenbasis the templates in the monitor's order.

    Raises
    ------
    UnknownReference
        If the store has lost a template.
    """
    found: list[list[Template]] = [[] for _ in bases]
    for template in monitor.tolerance.templates:
        sample: Reference | None = None
        for some, basis in zip(found, bases, strict=True):
            # The digest names the eigenbasis with its features: one made anew may differ by signs.
            key = f"template-{template.hash}-{basis.digest}"
            stored = await broker.references.basis(monitor.reference_hash, key)
            if stored is None:
                if sample is None:
                    sample = await _sample(broker, template.hash, monitor.features)
                    log.info("preparing a template", monitor=monitor.name, template=template.name)
                made = await asyncio.to_thread(Template.of, basis, sample)
                stored = made.to_bytes()
                await broker.references.put_basis(monitor.reference_hash, key, stored)
            some.append(Template.from_bytes(stored))
    return found


async def _sample(broker: Broker, reference_hash: str, features: tuple[str, ...]) -> Reference:
    known = (await broker.references.by_hash(reference_hash)).features
    body = await broker.references.body(reference_hash)
    sample = await asyncio.to_thread(Reference.from_bytes, body)
    return sample.columns([known.index(feature) for feature in features])
