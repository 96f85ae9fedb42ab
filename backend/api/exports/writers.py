# SPDX-License-Identifier: Apache-2.0
"""What writes rows in a format. Each piece can be sent at once: nothing is kept but what the format needs."""

import csv
import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from io import StringIO
from typing import Any

from backend.api.exports.columns import Column, Item, Kind
from backend.api.exports.formats import Format
from backend.errors import ParameterError

_ROWS_OF_A_GROUP = 20_000
"""Rows that Parquet has in memory: readers take a group at once, and small groups compress badly."""


class Rows(ABC):
    """Writes rows. Use: ``add`` for each part of them, then ``end``."""

    @abstractmethod
    def add(self, items: Sequence[Item]) -> bytes:
        """Return what rows are written as."""

    @abstractmethod
    def end(self) -> bytes:
        """Return what comes after the last row."""


def rows_in(form: Format, columns: Sequence[Column]) -> Rows:
    """Return what writes rows in a format other than JSON.

    :raises ParameterError: this server cannot write it
    """
    if form is Format.PARQUET:
        return _Parquet(columns)
    return _Csv(columns) if form is Format.CSV else _JsonLines()


class _Csv(Rows):
    """RFC 4180: a header, lines that end with CR LF."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._has_header = False

    def add(self, items: Sequence[Item]) -> bytes:
        text = StringIO(newline="")
        writer = csv.writer(text)
        if not self._has_header:
            self._has_header = True
            writer.writerow(column.name for column in self._columns)
        writer.writerows([column.text(item) for column in self._columns] for item in items)
        return text.getvalue().encode()

    def end(self) -> bytes:
        return b"" if self._has_header else self.add(())


class _JsonLines(Rows):
    """An item in each line, as it is in the list."""

    def add(self, items: Sequence[Item]) -> bytes:
        lines = (json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in items)
        return "".join(f"{line}\n" for line in lines).encode()

    def end(self) -> bytes:
        return b""


class _Sink:
    """A file that is read while it is written."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.closed = False

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Do nothing: what is written is there."""

    def close(self) -> None:
        """Do nothing: what was written is yet to be taken."""

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


class _Parquet(Rows):
    """Groups of rows by Apache Arrow, an option of the installation. Times are ns, UTC."""

    def __init__(self, columns: Sequence[Column]) -> None:
        try:
            self._arrow: Any = importlib.import_module("pyarrow")
            parquet: Any = importlib.import_module("pyarrow.parquet")
        except ImportError as exc:
            message = "this server cannot write Parquet: install kvmfaults[parquet] on it, or ask for csv"
            raise ParameterError("format", message) from exc
        arrow = self._arrow
        types = {
            Kind.INTEGER: arrow.int64(),
            Kind.NUMBER: arrow.float64(),
            Kind.BOOLEAN: arrow.bool_(),
            Kind.TIME: arrow.timestamp("ns", tz="UTC"),
            Kind.TEXTS: arrow.list_(arrow.string()),
        }
        self._columns = columns
        self._types = [types.get(column.kind, arrow.string()) for column in columns]
        self._schema = arrow.schema(
            [(column.name, kind) for column, kind in zip(columns, self._types, strict=True)]
        )
        self._sink = _Sink()
        self._file = parquet.ParquetWriter(self._sink, self._schema, compression="zstd")
        self._waiting: list[Item] = []

    def add(self, items: Sequence[Item]) -> bytes:
        self._waiting += items
        if len(self._waiting) >= _ROWS_OF_A_GROUP:
            self._write()
        return self._sink.take()

    def end(self) -> bytes:
        if self._waiting:
            self._write()
        self._file.close()
        return self._sink.take()

    def _write(self) -> None:
        arrays = [self._array(*one) for one in zip(self._columns, self._types, strict=True)]
        self._file.write_table(self._arrow.table(arrays, schema=self._schema))
        self._waiting.clear()

    def _array(self, column: Column, kind: Any) -> Any:  # noqa: ANN401 - Arrow's
        arrow = self._arrow
        if column.kind is Kind.TIME:
            return arrow.array([column.cell(item) for item in self._waiting], arrow.string()).cast(kind)
        if column.kind is Kind.PARTS:
            return arrow.array([column.text(item) or None for item in self._waiting], kind)
        return arrow.array([column.cell(item) for item in self._waiting], kind)
