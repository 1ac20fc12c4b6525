"""Events from files, in blocks: npy, npz and text with numpy; parquet, HDF5, ROOT with the extra `files`."""

from nplmon.client.files.reading import SUFFIXES, Piece, open_stream, open_table, pieces, read
from nplmon.client.files.table import Table

__all__ = ["SUFFIXES", "Piece", "Table", "open_stream", "open_table", "pieces", "read"]
