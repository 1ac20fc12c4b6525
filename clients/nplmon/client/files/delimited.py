"""Tables in text: .csv and its kin, and text on standard input."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nplmon.client.errors import FileError
from nplmon.client.files.table import pick

_DELIMITERS = ",;\t|"


class TextTable:
    """Lines of numbers; the first line may name the columns and shows the delimiter.

    Columns of text are left out of `columns`; asking for one is an error.

    Parameters
    ----------
    source:
        For messages.
    path, lines:
        A file, or lines as they come.
    """

    def __init__(self, source: str, *, path: Path | None = None, lines: Iterable[str] | None = None) -> None:
        self.source = source
        self._path = path
        self._lines = iter(lines) if lines is not None else None
        if path is not None:
            with path.open(encoding="utf-8-sig") as opened:
                first = list(itertools.islice(_full(source, opened), 2))
        else:
            first = list(itertools.islice(_full(source, self._lines or iter(())), 2))
        if not first:
            raise FileError(f"{source} is empty; expected a line of column names and lines of numbers")
        self.delimiter = delimiter(first[0])
        head = self._split(first[0].lstrip("# "))
        named = not all(_is_number(field) for field in head)
        self._pending = first[1:] if named else first
        self._names = tuple(head) if named else tuple(str(i) for i in range(len(head)))
        sample = self._split(self._pending[0]) if self._pending else []
        self._numeric = tuple(
            name
            for name, field in itertools.zip_longest(self._names, sample[: len(head)])
            if _is_number(field or "0")
        )
        self.columns: tuple[str, ...] | None = self._numeric if named else None
        self._header = int(named)

    def blocks(self, columns: Sequence[str] | None, rows: int) -> Iterator[NDArray[np.float32]]:
        """Yield float32 blocks; see `Table.blocks`."""
        # Text columns are there to be asked for, so that the error can show what they hold.
        names = None if self.columns is None else self._names
        picked = pick(self.source, names, len(self._names), columns)
        indices = [self._names.index(name) for name in self._numeric] if picked is None else picked
        if self._path is None:
            lines = itertools.chain(self._pending, _full(self.source, self._lines or iter(())))
            yield from self._parse(lines, indices, rows)
            return
        with self._path.open(encoding="utf-8-sig") as opened:
            yield from self._parse(
                itertools.islice(_full(self.source, opened), self._header, None), indices, rows
            )

    def _parse(self, lines: Iterator[str], indices: list[int], rows: int) -> Iterator[NDArray[np.float32]]:
        start = self._header
        while part := list(itertools.islice(lines, rows)):
            try:
                table = np.loadtxt(
                    part, delimiter=self.delimiter, usecols=indices, comments=None, quotechar='"', ndmin=2
                )
            except (ValueError, IndexError):
                raise self._fault(part, indices, start) from None
            with np.errstate(over="ignore"):
                yield table.astype(np.float32)
            start += len(part)

    def _fault(self, lines: list[str], indices: list[int], start: int) -> FileError:
        for number, line in enumerate(lines, start + 1):
            fields = self._split(line)
            for index in indices:
                if index >= len(fields):
                    return FileError(
                        f"{self.source}, filled line {number}: "
                        f"{len(fields)} fields, expected {len(self._names)}"
                    )
                if not _is_number(fields[index]):
                    return FileError(
                        f"{self.source}, filled line {number}: column {self._names[index]!r} holds "
                        f"{fields[index]!r:.60}, not a number; choose other columns with --features"
                    )
        return FileError(
            f"{self.source}: lines {start + 1} to {start + len(lines)} cannot be read as numbers"
        )

    def _split(self, line: str) -> list[str]:
        if self.delimiter is None:
            return line.split()
        return [field.strip() for field in next(csv.reader([line], delimiter=self.delimiter))]


def delimiter(line: str) -> str | None:
    r"""Find the delimiter of a header line: the commonest of ``, ; | tab``; None for spaces.

    Examples
    --------
    >>> delimiter("datetime;Pressure;Volume Flow RateRMS")
    ';'
    """
    best = max(_DELIMITERS, key=line.count)
    if line.count(best):
        return best
    return None if len(line.split()) > 1 else ","


def _full(source: str, lines: Iterator[str]) -> Iterator[str]:
    """Lines that are not blank."""
    try:
        for line in lines:
            if line.strip():
                yield line
    except UnicodeDecodeError as error:
        raise FileError(f"{source} is not text in UTF-8 ({error.reason} at byte {error.start})") from None


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
