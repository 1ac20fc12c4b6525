"""What toys are: a plan of runs under H0, and the trajectories that replaying it gives. numpy only."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
import safetensors.numpy

from nplmon.nplm.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.null import Mode

Source = Literal["disjoint", "fixed-reference"]
SOURCES: Final[tuple[Source, ...]] = get_args(Source)
KINDS: Final = ("t_chunk", "t_agg", "t_ref", "t_score", "t_sum")
FLUCTUATION: Final = 6.0
"""Deviations of a Poisson count above its mean that a pool must be able to give."""
FORMAT: Final = "nplmon-trajectories-1"
_DIGEST: Final = hashlib.sha256().digest_size


@dataclass(frozen=True, kw_only=True)
class ToyPlan:
    """All that a toy depends on beside reference, pool and model settings.

    Attributes
    ----------
    mode:
        "shape" (the expected count of a chunk is its own) or "rate" (it is `events`).
    source:
        "disjoint": reference and pseudo-data of each toy are drawn anew, from reference and pool together, without
        overlap. "fixed-reference": the reference stays, pseudo-data come from the pool.
    chunks:
        Chunks of one toy.
    events:
        The mean count of a chunk; counts are Poisson.
    seed:
        Toy number i is seeded by (seed, i).
    kinds:
        The statistics; t_score alone needs no fit and is many times faster.
    kept_events:
        t_agg is computed while a run has no more events, for its cost grows with their square.

    Raises
    ------
    ValueError
        If a setting is out of range.

    Examples
    --------
    >>> plan = ToyPlan(mode="shape", source="fixed-reference", chunks=10, events=500.0, seed=1)
    >>> plan.pool_exposure(50_000), plan.events_needed
    (0.1, 5425)
    """

    mode: Mode
    source: Source
    chunks: int
    events: float
    seed: int
    kinds: tuple[str, ...] = KINDS
    kept_events: int = 100_000

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", tuple(self.kinds))
        if self.source not in SOURCES or self.mode not in {"shape", "rate"}:
            raise ValueError(
                f"mode {self.mode!r}, source {self.source!r}: give shape or rate, and one of {', '.join(SOURCES)}"
            )
        if self.chunks < 1 or not 1 <= self.events < np.inf or self.seed < 0 or self.kept_events < 0:
            raise ValueError(
                f"{self.chunks} chunks of {self.events} events, seed {self.seed}, {self.kept_events} kept events: "
                "give at least one chunk of one event, and no negative number"
            )
        if not self.kinds or not set(self.kinds) <= set(KINDS) or len(set(self.kinds)) < len(self.kinds):
            raise ValueError(f"kinds {', '.join(self.kinds) or 'none'}: give some of {', '.join(KINDS)}")

    @property
    def digest(self) -> str:
        """Tell plans apart: a hash of all fields, hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]

    @property
    def expected(self) -> float:
        """Lambda of a whole toy, on average."""
        return self.chunks * self.events

    @property
    def events_needed(self) -> int:
        """Events that a pool must have for one toy: the mean and six deviations of its Poisson count."""
        return int(np.ceil(self.expected + FLUCTUATION * self.expected**0.5))

    def pool_exposure(self, pool: int) -> float:
        """Give events of one toy / events of the pool: how far toys miss the pool's own sampling error.

        With "fixed-reference" toys scatter around the pool, not around H0: at an exposure of a few tenths they no
        longer tell what data will do. With "disjoint" it does not matter, for the union's own error cancels between
        reference and pseudo-data.
        """
        return self.expected / pool


@dataclass(frozen=True, kw_only=True)
class Trajectories:
    """The statistics of toys after each of their chunks.

    Attributes
    ----------
    plan:
        Digest of the plan.
    numbers:
        The toys' numbers, int64 (toys,), increasing.
    values:
        Each statistic by kind, float64 (toys, chunks, widths); NaN where there is none (t_agg past the kept events).
    log_p:
        Logarithms of its closed-form p-values, of the same shape.

    Examples
    --------
    >>> one = Trajectories(plan="a", numbers=np.arange(2), values={"t_sum": np.ones((2, 3, 1))},
    ...     log_p={"t_sum": -np.ones((2, 3, 1))})
    >>> other = Trajectories(plan="a", numbers=np.arange(2, 4), values=one.values, log_p=one.log_p)
    >>> both = Trajectories.from_bytes(Trajectories.concatenate([other, one]).to_bytes())
    >>> both.numbers.tolist(), both.values["t_sum"].shape
    ([0, 1, 2, 3], (4, 3, 1))
    """

    plan: str
    numbers: NDArray[np.int64]
    values: dict[str, NDArray[np.float64]]
    log_p: dict[str, NDArray[np.float64]]

    def __post_init__(self) -> None:
        shapes = {array.shape for part in (self.values, self.log_p) for array in part.values()}
        if self.values.keys() != self.log_p.keys() or len(shapes) != 1:
            raise ValueError(f"trajectories of {sorted(shapes)}: give values and log_p of one shape")
        (shape,) = shapes
        if len(shape) != 3 or shape[0] != self.numbers.size or 0 in shape:
            raise ValueError(
                f"trajectories of shape {shape} for {self.numbers.size} toys: give (toys, chunks, widths)"
            )

    @property
    def toys(self) -> int:
        """The number of toys."""
        return self.numbers.size

    @property
    def chunks(self) -> int:
        """Chunks of one toy."""
        return next(iter(self.values.values())).shape[1]

    @property
    def widths(self) -> int:
        """The number of kernel widths."""
        return next(iter(self.values.values())).shape[2]

    def smallest(self, kind: str) -> NDArray[np.float64]:
        """Give log p_min after each chunk: the smallest over the widths, float64 (toys, chunks)."""
        return self.log_p[kind].min(axis=2)

    @staticmethod
    def concatenate(parts: Sequence[Trajectories]) -> Trajectories:
        """Put batches of one plan together, in the order of the toys' numbers.

        Raises
        ------
        ValueError
            If there are none, they are of different plans or shapes, or a toy is there twice.
        """
        if not parts:
            raise ValueError("no toys: give at least one batch")
        if len({(part.plan, part.chunks, part.widths, *sorted(part.values)) for part in parts}) > 1:
            raise ValueError("batches of different plans cannot be put together: replay all toys of one plan")
        numbers = np.concatenate([part.numbers for part in parts])
        order = np.argsort(numbers, kind="stable")
        numbers = numbers[order]
        if twice := numbers[1:][np.diff(numbers) == 0].tolist():
            raise ValueError(f"toy {twice[0]} is there twice: give each batch once")
        return Trajectories(
            plan=parts[0].plan,
            numbers=numbers,
            values={k: np.concatenate([part.values[k] for part in parts])[order] for k in parts[0].values},
            log_p={k: np.concatenate([part.log_p[k] for part in parts])[order] for k in parts[0].log_p},
        )

    def to_bytes(self) -> bytes:
        """Serialise with safetensors, behind a SHA-256."""
        arrays = {"numbers": self.numbers.astype(np.int64)}
        for kind in self.values:
            arrays[f"values {kind}"] = np.ascontiguousarray(self.values[kind])
            arrays[f"log_p {kind}"] = np.ascontiguousarray(self.log_p[kind])
        header = json.dumps({"format": FORMAT, "plan": self.plan}).encode()
        return sealed(arrays | {"header": np.frombuffer(header, dtype=np.uint8)})

    @classmethod
    def from_bytes(cls, body: bytes) -> Trajectories:
        """Read what `to_bytes` wrote.

        Raises
        ------
        StateError
            If the bytes are damaged or of another format.
        """
        arrays = unsealed(body, "trajectories")
        header = json.loads(arrays.pop("header").tobytes())
        if header["format"] != FORMAT:
            raise StateError(f"trajectories of format {header['format']}, not {FORMAT}: replay the toys")
        numbers = arrays.pop("numbers")
        values, log_p = (
            {name.removeprefix(part): array for name, array in arrays.items() if name.startswith(part)}
            for part in ("values ", "log_p ")
        )
        return cls(plan=header["plan"], numbers=numbers, values=values, log_p=log_p)


def sealed(arrays: dict[str, NDArray[np.generic]]) -> bytes:
    """Serialise arrays behind a SHA-256 of what follows."""
    body = safetensors.numpy.save(arrays)
    return hashlib.sha256(body).digest() + body


def unsealed(body: bytes, what: str) -> dict[str, NDArray[np.generic]]:
    """Read what `sealed` wrote.

    Raises
    ------
    StateError
        If the checksum does not agree.
    """
    digest, rest = body[:_DIGEST], body[_DIGEST:]
    if hashlib.sha256(rest).digest() != digest:
        raise StateError(f"{len(body)} bytes are no {what}, or damaged (checksum): compute them again")
    return safetensors.numpy.load(rest)
