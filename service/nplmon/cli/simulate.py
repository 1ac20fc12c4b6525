"""The command `nplmon simulate`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nplmon.cli.connect import connect
from nplmon.cli.options import Json, Url
from nplmon.cli.output import print_json, print_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nplmon.client import Receipt
    from nplmon.simulators.pusher import Pushed
    from nplmon.simulators.scenario import Chunk, Scenario


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "simulate",
        epilog="Example: nplmon simulate dimuon-resonance --monitor dimuon --run r1 --chunks 40 --start 21 "
        "--rate 2. Its reference: nplmon simulate dimuon-resonance --reference-events 100000 --output ref.npz",
    )(simulate)


def simulate(
    name: Annotated[str | None, typer.Argument(metavar="SCENARIO", help="See --list.")] = None,
    *,
    monitor: Annotated[str | None, typer.Option("--monitor", help="Monitor to push to.")] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Run to push to; the first chunk opens it.")
    ] = None,
    chunks: Annotated[int, typer.Option("--chunks", min=0, help="Number of chunks; 0: until Ctrl-C.")] = 40,
    first: Annotated[int, typer.Option("--first", min=1, help="Number of the first chunk to push.")] = 1,
    events: Annotated[
        int | None, typer.Option("--events", min=1, help="Events per chunk. Default: the scenario's.")
    ] = None,
    rate: Annotated[
        float, typer.Option("--rate", min=0.0, help="Chunks per second; 0: as fast as they are taken.")
    ] = 0.0,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed; the same seed gives the same events.")
    ] = 1,
    start: Annotated[
        int | None, typer.Option("--start", min=1, help="Chunk at which the anomaly begins, from 1.")
    ] = None,
    strength: Annotated[
        float | None, typer.Option("--strength", help="Strength of the anomaly; see --list.")
    ] = None,
    poisson: Annotated[
        bool, typer.Option("--poisson", help="Let the number of events of a chunk fluctuate.")
    ] = False,
    exposure: Annotated[
        float | None,
        typer.Option(
            "--exposure", help="Exposure of each chunk; needed where the rate is compared or tested."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write the events to a .npy or .npz file instead."),
    ] = None,
    reference_events: Annotated[
        int | None,
        typer.Option("--reference-events", min=100, help="With --output: write a reference sample."),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the scenarios.")] = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Draw the chunks of a scenario and push them, or write them to a file.

    The stream is ordinary up to the chunk before --start. Chunk ids are made of scenario, seed and number, so
    that the same simulation pushed again counts nothing twice.
    """
    from nplmon.simulators.errors import SimulationError
    from nplmon.simulators.scenario import SCENARIOS, scenario

    if show:
        _list(list(SCENARIOS.values()), as_json=as_json)
        return
    if name is None:
        raise typer.BadParameter("name a scenario; see: nplmon simulate --list")
    try:
        chosen = scenario(name)
        if chosen.disturbed is None and (start is not None or strength is not None):
            raise typer.BadParameter(f"{name} has no anomaly: leave out --start and --strength")
        if reference_events is not None:
            _write_reference(chosen, reference_events, seed, output, as_json=as_json)
            return
        stream = chosen.chunks(
            chunks or None,
            first=first,
            seed=seed,
            events=events,
            start=start,
            strength=strength,
            fluctuate=poisson,
        )
        if output is not None:
            if not chunks:
                raise typer.BadParameter("--chunks 0 has no end; give --output a number of chunks")
            _write_chunks(chosen, stream, output, as_json=as_json)
            return
        if monitor is None or run is None:
            raise typer.BadParameter("give --monitor and --run, or --output FILE")
        target = _Target(monitor=monitor, run=run, url=url, rate=rate, exposure=exposure)
        _push(chosen, stream, f"{name}-s{seed}", target, as_json=as_json)
    except SimulationError as error:
        raise typer.BadParameter(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class _Target:
    """Where and how fast chunks are pushed."""

    monitor: str
    run: str
    url: str | None
    rate: float
    exposure: float | None


@dataclass
class _Tally:
    """What was pushed, for `--json`; numbers of chunks count from 1, 0 means none."""

    scenario: str
    chunks: int = 0
    events: int = 0
    duplicates: int = 0
    ordinary: int = 0
    anomalous: int = 0
    anomalous_from: int = 0
    last_sequence: int = 0

    def add(self, pushed: Pushed) -> Receipt:
        self.chunks += 1
        self.events += pushed.receipt.events
        self.duplicates += pushed.receipt.duplicate
        self.last_sequence = max(self.last_sequence, pushed.receipt.sequence)
        if pushed.anomalous:
            self.anomalous += 1
            self.anomalous_from = self.anomalous_from or pushed.number
        else:
            self.ordinary += 1
        return pushed.receipt

    def words(self, target: _Target) -> str:
        said = (
            f"pushed {self.chunks:,} chunks ({self.events:,} events) of {self.scenario} to "
            f"{target.monitor}/{target.run}: {self.ordinary} ordinary, {self.anomalous} anomalous"
        )
        if self.anomalous:
            said += f" from chunk {self.anomalous_from} on"
        if self.duplicates:
            said += f"; {self.duplicates} had been accepted before and count once"
        return said


def _push(
    scenario: Scenario, stream: Iterator[Chunk], prefix: str, target: _Target, *, as_json: bool
) -> None:
    from nplmon.cli.pushing import progress
    from nplmon.simulators.pusher import push

    tally = _Tally(scenario.name)
    with connect(target.url, deadline=60.0) as client:
        pushed = push(
            client,
            stream,
            monitor=target.monitor,
            run=target.run,
            stream=prefix,
            features=scenario.features,
            rate=target.rate,
            exposure=target.exposure,
        )
        try:
            progress(map(tally.add, pushed), f"{scenario.name} to {target.monitor}/{target.run}")
        except KeyboardInterrupt:
            typer.echo("ended by Ctrl-C", err=True)
    if as_json:
        print_json(vars(tally))
    else:
        typer.echo(tally.words(target))


def _write_reference(
    scenario: Scenario, count: int, seed: int, output: Path | None, *, as_json: bool
) -> None:
    if output is None:
        raise typer.BadParameter("--reference-events needs --output FILE")
    _check(output)
    _write(output, scenario, scenario.reference(count, seed=seed))
    columns = "" if output.suffix == ".npz" else f" --features {','.join(scenario.features)}"
    units = f" --units {','.join(scenario.units)}" if any(scenario.units) else ""
    if as_json:
        print_json({"file": str(output), "events": count, "features": list(scenario.features)})
    else:
        typer.echo(f"wrote {count:,} reference events to {output}")
        typer.echo(f"add them with: nplmon reference add {scenario.name} {output}{columns}{units}")


def _write_chunks(scenario: Scenario, stream: Iterator[Chunk], output: Path, *, as_json: bool) -> None:
    import numpy as np

    _check(output)
    chunks = list(stream)
    sizes = [len(chunk.events) for chunk in chunks]
    numbers = np.repeat([chunk.number for chunk in chunks], sizes)
    anomalous = np.repeat([chunk.anomalous for chunk in chunks], sizes)
    _write(
        output,
        scenario,
        np.concatenate([chunk.events for chunk in chunks]),
        chunk=numbers.astype(np.int32),
        anomalous=anomalous,
    )
    if as_json:
        print_json({"file": str(output), "chunks": len(chunks), "events": sum(sizes)})
    else:
        typer.echo(f"wrote {len(chunks):,} chunks ({sum(sizes):,} events) of {scenario.name} to {output}")


def _check(output: Path) -> None:
    if output.suffix not in (".npy", ".npz"):
        raise typer.BadParameter(f"--output {output}: the name must end in .npy or .npz")
    if not output.parent.is_dir():
        raise typer.BadParameter(f"--output {output}: there is no directory {output.parent}")


def _write(
    output: Path, scenario: Scenario, events: NDArray[np.float32], **labels: NDArray[np.generic]
) -> None:
    """Write events; .npz also has names, units and a label of each event."""
    import numpy as np

    if output.suffix == ".npy":
        np.save(output, events, allow_pickle=False)
        return
    np.savez(
        output,
        events=events,
        features=np.array(scenario.features),
        units=np.array(scenario.units),
        **labels,  # type: ignore[arg-type]  # the stub takes them for its own keyword
    )


def _list(scenarios: list[Scenario], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "name": s.name,
                    "description": s.description,
                    "features": list(s.features),
                    "units": list(s.units),
                    "events": s.events,
                    "start": None if s.disturbed is None else s.start,
                    "strength": None if s.disturbed is None else s.strength,
                    "strength_means": s.strength_means,
                }
                for s in scenarios
            ]
        )
        return
    print_table(
        ("scenario", "features", "events", "start", "strength", "of what", "description"),
        [
            (
                s.name,
                len(s.features),
                s.events,
                "-" if s.disturbed is None else s.start,
                "-" if s.disturbed is None else f"{s.strength:g}",
                s.strength_means,
                s.description,
            )
            for s in scenarios
        ],
        empty="no scenarios",
    )
