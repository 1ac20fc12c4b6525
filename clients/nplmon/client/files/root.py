"""Tables in .root files: flat branches of a TTree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nplmon.client.errors import FileError
from nplmon.client.files.table import Untyped, as_float32, choose, missing_library


class RootTable:
    """The first TTree of a file, or the one named; only branches with one number per event are columns."""

    def __init__(self, path: Path, source: str, tree: str | None = None) -> None:
        try:
            import uproot  # noqa: PLC0415  # an extra
        except ImportError:
            raise missing_library(source, "uproot and awkward") from None
        self.source = source
        self._path = path
        self._uproot = uproot
        try:
            with uproot.open(path) as file:
                self._tree = self._choose_tree(file, tree)
                self._kinds = {
                    name: _kind(branch) for name, branch in file[self._tree].iteritems(full_paths=True)
                }
        except (OSError, ValueError, uproot.deserialization.DeserializationError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise FileError(f"{source} is not a readable ROOT file: {first}") from None
        self.columns: tuple[str, ...] | None = tuple(
            name for name, kind in self._kinds.items() if kind == "flat"
        )

    def blocks(self, columns: Sequence[str] | None, rows: int) -> Iterator[NDArray[np.float32]]:
        """Yield float32 blocks; see `Table.blocks`."""
        chosen = choose(
            self.source, tuple(self._kinds), columns if columns is not None else self.columns or ()
        )
        jagged = [name for name in chosen if self._kinds[name] != "flat"]
        if jagged or not chosen:
            first = jagged[0] if jagged else next(iter(self._kinds), "none")
            raise FileError(
                f"{self.source}: branch {first!r} is {self._kinds.get(first, 'missing')}, "
                "not one number per event; "
                "write flat branches first (for example the leading muon's pt)"
            )
        with self._uproot.open(self._path) as file:
            branches = file[self._tree]
            for start in range(0, branches.num_entries, rows):
                stop = min(start + rows, branches.num_entries)
                parts = [
                    branches[name].array(entry_start=start, entry_stop=stop, library="np") for name in chosen
                ]
                yield np.column_stack(
                    [as_float32(self.source, *pair) for pair in zip(chosen, parts, strict=True)]
                )

    def _choose_tree(self, file: Untyped, tree: str | None) -> str:
        kinds = file.classnames(recursive=True)
        trees = [name for name, kind in kinds.items() if kind in ("TTree", "ROOT::RNTuple")]
        bare = [name.split(";")[0] for name in trees]
        if tree is None and trees:
            return str(trees[0])
        if tree is not None and tree in bare + trees:
            return tree
        there = ", ".join(dict.fromkeys(bare)) or "none"
        raise FileError(f"{self.source}: no tree {tree or ''!r}; its trees are: {there}")


def _kind(branch: Untyped) -> str:
    typename = str(branch.typename)
    if any(mark in typename for mark in ("[", "<", "*")) or "string" in typename:
        return f"of type {typename}"
    return "flat"
