"""Events come out of every format as they went in, in blocks, and errors name the file and the remedy."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import uproot
from tests.client.serving import sample

from nplmon.client import FileError, MissingLibrary
from nplmon.client.files import open_stream, open_table, pieces, read

EVENTS = sample(1000, features=3)
NAMES = ("pt", "eta", "phi")
DATA = Path(os.environ.get("NPLMON_TEST_DATA", Path(__file__).parents[2] / "../shared/data"))
needs_data = pytest.mark.skipif(
    not DATA.exists() and "CI" not in os.environ, reason=f"no data in {DATA}; set NPLMON_TEST_DATA"
)


COLUMNS = dict(zip(NAMES, EVENTS.T, strict=True))


def write(path: Path) -> Path:
    """Write EVENTS with NAMES in the way of the file's name."""
    WRITERS[path.name](path)
    return path


def named_npy(path: Path) -> None:
    table = np.zeros(len(EVENTS), dtype=[(name, "<f4") for name in NAMES])
    for name in NAMES:
        table[name] = COLUMNS[name]
    np.save(path, table)


def parquet(path: Path) -> None:
    table = pa.table({"when": ["x"] * len(EVENTS), **COLUMNS})
    pa.parquet.write_table(table, path, row_group_size=300)


def arrow_stream(path: Path) -> None:
    table = pa.table(COLUMNS)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=170)


def matrix_with_attribute(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["events"] = EVENTS
        file["events"].attrs["features"] = list(NAMES)


def matrix_with_names_beside(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["g/events"] = EVENTS
        file["g/features"] = [name.encode() for name in NAMES]


def datasets(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name in NAMES:
            file[name] = COLUMNS[name]


def tree(path: Path) -> None:
    with uproot.recreate(path) as file:
        file.mktree("tree", dict.fromkeys(NAMES, "float32"))
        file["tree"].extend(COLUMNS)


WRITERS: dict[str, Callable[[Path], object]] = {
    "plain.npy": lambda path: np.save(path, EVENTS),
    "fortran.npy": lambda path: np.save(path, np.asfortranarray(EVENTS)),
    "bare.csv": lambda path: np.savetxt(path, EVENTS, delimiter=",", fmt="%.9g"),
    "named.npy": named_npy,
    "events.npz": lambda path: np.savez(path, events=EVENTS, features=np.array(NAMES)),
    "packed.npz": lambda path: np.savez_compressed(path, events=EVENTS, features=np.array(NAMES)),
    "columns.npz": lambda path: np.savez(path, **COLUMNS),
    "comma.csv": lambda path: write_text(path, ","),
    "semicolon.csv": lambda path: write_text(path, ";", stamp="2026-11-22 10:00:00"),
    "tab.tsv": lambda path: write_text(path, "\t"),
    "table.parquet": parquet,
    "table.feather": lambda path: pa.feather.write_feather(pa.table(COLUMNS), path),
    "table.arrow": arrow_stream,
    "matrix.h5": matrix_with_attribute,
    "named.h5": matrix_with_names_beside,
    "columns.hdf5": datasets,
    "flat.root": tree,
}


def write_text(path: Path, delimiter: str, stamp: str | None = None) -> None:
    head = [*(["when"] if stamp else []), *NAMES]
    rows = ([*([stamp] if stamp else []), *(f"{value:.9g}" for value in event)] for event in EVENTS)
    lines = [delimiter.join(row) for row in (head, *rows)]
    path.write_text("\ufeff" + "\n".join(lines) + "\n\n", encoding="utf-8")


BARE = ["plain.npy", "fortran.npy", "bare.csv"]
NAMED = [name for name in WRITERS if name not in BARE]


@pytest.mark.parametrize("name", NAMED)
def test_named_columns_are_chosen_and_ordered(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    events, columns = read(path)
    order = [columns.index(n) for n in NAMES] if columns else []
    assert set(columns or ()) == set(NAMES)
    assert np.array_equal(events[:, order], EVENTS)
    chosen, named = read(path, ["phi", "pt"])
    assert named == ("phi", "pt")
    assert chosen.dtype == np.float32
    assert np.array_equal(chosen, EVENTS[:, [2, 0]])
    with pytest.raises(FileError, match=r"no column 'mass'; its numeric columns are: .*pt"):
        read(path, ["mass"])


@pytest.mark.parametrize("name", BARE)
def test_columns_without_names_are_taken_all(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    events, columns = read(path)
    assert columns is None
    assert np.array_equal(events, EVENTS)
    assert np.array_equal(read(path, ["a", "b", "c"])[0], EVENTS)
    with pytest.raises(FileError, match="3 columns without names, but --features names 2"):
        read(path, ["a", "b"])


@pytest.mark.parametrize("name", NAMED + BARE)
def test_a_file_is_read_in_blocks(tmp_path: Path, name: str) -> None:
    blocks = list(open_table(write(tmp_path / name)).blocks(None, 64))
    assert sum(len(block) for block in blocks) == len(EVENTS)
    whole = name in ("fortran.npy", "table.feather")  # one block is all that these formats give
    assert whole or max(len(block) for block in blocks) <= 170


def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.npz"
    np.savez(path, events=np.zeros((2_000_000, 3), np.float32), features=np.array(NAMES))
    tracemalloc.start()
    events = sum(len(piece.events) for piece in pieces([open_table(path)], 10_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert events == 2_000_000
    assert peak < 2_000_000  # the file has 24 MB


def test_chunks_go_on_from_file_to_file(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.npy" for i in range(3)]
    for path, part in zip(paths, np.split(EVENTS, [250, 260]), strict=True):
        np.save(path, part)
    cut = list(pieces([open_table(path) for path in paths], 300))
    assert [len(piece.events) for piece in cut] == [300, 300, 300, 100]
    assert [(Path(piece.source).name, piece.index) for piece in cut] == [
        ("0.npy", 0),
        ("2.npy", 0),
        ("2.npy", 1),
        ("2.npy", 2),
    ]
    assert np.array_equal(np.concatenate([piece.events for piece in cut]), EVENTS)
    assert len(list(pieces([open_table(path) for path in paths], 300, rest=False))) == 3
    narrow = tmp_path / "narrow.npy"
    np.save(narrow, EVENTS[:, :2])
    with pytest.raises(FileError, match=r"narrow\.npy has 2 columns, the files before it 3"):
        list(pieces([open_table(paths[0]), open_table(narrow)], 300))


def test_standard_input_is_npy_or_text(tmp_path: Path) -> None:
    npy = io.BytesIO(write(tmp_path / "plain.npy").read_bytes())
    text = io.BytesIO(write(tmp_path / "comma.csv").read_bytes())
    for stream in (npy, text):
        cut = list(pieces([open_stream(stream)], 400))
        assert np.array_equal(np.concatenate([piece.events for piece in cut]), EVENTS)


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def jagged(path: Path) -> Path:
    import awkward as ak

    with uproot.recreate(path) as file:
        file.mktree("tree", {"muon_pt": "var * float32", "met": "float32"})
        file["tree"].extend({"muon_pt": ak.Array([[1.0], [2.0, 3.0]]), "met": np.ones(2, np.float32)})
    return path


def text(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("make", "features", "words"),
    [
        (lambda d: d / "no.npy", None, "no file"),
        (lambda d: d, None, "is a directory; .* --follow"),
        (lambda d: text(d / "a.xls", "x"), None, r"format of .* is not known; known are \.npy"),
        (lambda d: text(d / "a.npy", "x" * 100), None, "is not in the npy format"),
        (lambda d: text(d / "a.npy", b""), None, "is not in the npy format"),
        (lambda d: text(d / "b.npy", write(d / "plain.npy").read_bytes()[:-9]), None, "9 bytes too early"),
        (lambda d: text(d / "a.npz", "x" * 100), None, "is not a readable npz file"),
        (lambda d: text(d / "a.parquet", "x" * 100), None, "is not a readable .parquet file"),
        (lambda d: text(d / "a.h5", "x" * 100), None, "is not a readable HDF5 file"),
        (lambda d: text(d / "a.root", "x" * 400), None, "is not a readable ROOT file"),
        (lambda d: text(d / "a.csv", ""), None, "is empty"),
        (lambda d: text(d / "a.csv", b"\xff\xfe\x00a,b"), None, "is not text in UTF-8"),
        (lambda d: text(d / "a.csv", "a,b\n1,2\n3,x\n"), None, "line 3: column 'b' holds 'x'"),
        (lambda d: text(d / "a.csv", "a,b\n1,2\n3\n"), None, "line 3: 1 fields, expected 2"),
        (lambda d: text(d / "a.csv", "a,b\n1,G\n3,G\n"), ["a", "b"], "column 'b' holds 'G', not a number"),
        (lambda d: npz(d / "a.npz", a=np.ones(3), b=np.ones(4)), None, "one length, .* a 3, b 4"),
        (lambda d: npz(d / "a.npz", a=np.ones((3, 2)), b=np.ones((4, 2))), None, "several 2-D arrays"),
        (lambda d: npz(d / "a.npz", events=np.ones((3, 2)), features=np.array(["a"])), None, "1 names for 2"),
        (
            lambda d: jagged(d / "a.root"),
            ["muon_pt"],
            "branch 'muon_pt' is of type .*not one number per event",
        ),
        (lambda d: f"{write(d / 'flat.root')}:other", None, "no tree 'other'; its trees are: tree"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(
    tmp_path: Path, make: object, features: list[str] | None, words: str
) -> None:
    name = make(tmp_path)  # type: ignore[operator]  # a parameter
    with pytest.raises(FileError, match=words) as caught:
        read(name, features)
    assert "\n" not in str(caught.value)


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    path = tmp_path / "object.npy"
    np.save(path, np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(FileError, match="never read"):
        read(path)


def test_a_nested_or_patchy_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table({"pt": [1.0, None], "hits": [[1.0], [2.0, 3.0]]}), path)
    with pytest.raises(FileError, match="1 nulls"):
        read(path)
    with pytest.raises(FileError, match="not one number per event"):
        read(path, ["hits"])


def test_the_first_tree_is_read_unless_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "two.root"
    with uproot.recreate(path) as file:
        for name, value in (("first", 1.0), ("second", 2.0)):
            file.mktree(name, {"x": "float64"})
            file[name].extend({"x": np.full(5, value)})
    assert read(path)[0].tolist() == [[1.0]] * 5
    assert read(f"{path}:second")[0].tolist() == [[2.0]] * 5
    assert read(jagged(tmp_path / "a.root"))[1] == ("nmuon_pt", "met")


def test_without_its_library_a_format_says_what_to_install(tmp_path: Path) -> None:
    for name in ("table.parquet", "matrix.h5", "flat.root", "comma.csv", "events.npz"):
        write(tmp_path / name)
    code = """
import sys, pathlib
for name in ("pyarrow", "h5py", "uproot"):
    sys.modules[name] = None
from nplmon.client import MissingLibrary
from nplmon.client.files import read
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        print(path.suffix, read(path)[0].shape)
    except MissingLibrary as error:
        print(path.suffix, str(error).split(" needs ")[1])
"""
    said = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == [
        ".csv (1000, 3)",
        ".npz (1000, 3)",
        ".root uproot and awkward; install it with: pip install 'nplmon[files]'",
        ".h5 h5py; install it with: pip install 'nplmon[files]'",
        ".parquet pyarrow; install it with: pip install 'nplmon[files]'",
    ]
    assert issubclass(MissingLibrary, FileError)


@needs_data
def test_real_files_are_read() -> None:
    dimuon = open_table(DATA / "dimuon_sm.npz")
    assert dimuon.columns == ("pt1", "pt2", "eta1", "eta2", "delta_phi", "mass")
    first = next(dimuon.blocks(["mass", "pt1"], 5))
    with np.load(DATA / "dimuon_sm.npz") as arrays:
        assert np.array_equal(first, arrays["events"][:5, [5, 0]])
    muons, _ = read(DATA / "cms_open_data/dimuons_100k.hdf5", ["muons/px", "muons/q"])
    assert muons.shape == (200_000, 2)
    assert set(np.unique(muons[:, 1])) == {-1.0, 1.0}
    with pytest.raises(FileError, match="must have one length"):
        read(DATA / "cms_open_data/dimuons_100k.hdf5")
    upsilon = open_table(DATA / "cms_open_data/Ymumu.csv")
    assert upsilon.columns is not None
    assert "type1" not in upsilon.columns
    assert len(upsilon.columns) == 18
    assert read(DATA / "cms_open_data/Ymumu.csv", ["pt1"])[0][0, 0] == np.float32(4.2910)
    water = open_table(DATA / "skab/valve1/0.csv")
    assert water.columns is not None
    assert water.columns[0] == "Accelerometer1RMS"
    assert read(DATA / "skab/valve1/0.csv", ["Volume Flow RateRMS"])[0][0, 0] == 32.0
