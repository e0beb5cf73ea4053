"""What a sandbox remembers: tables in memory, every change appended to one JSON-lines file, read back at the start.

Writes with plain `os.write` and never syncs: the lines survive `kill -9` of the process, not a loss of power, which
is all that a test double needs. Knows nothing about money; that has its own file (`ledger`).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson

Row = TypeVar("Row")

_COMPACT_FROM_LINES = 20_000


class Table(Generic[Row]):
    """Rows of one dataclass by key, in order of arrival. Change them only through `add`, `change` and `remove`."""

    def __init__(self, journal: "Journal", name: str, row_type: type[Row]) -> None:
        self.rows: dict[str, Row] = {}
        self.row_type = row_type
        self._journal = journal
        self._name = name

    def add(self, key: str, row: Row) -> Row:
        self.rows[key] = row
        self._journal.append(["+", self._name, key, row])
        return row

    def change(self, key: str, **fields: Any) -> Row:
        row = self.rows[key]
        for name, value in fields.items():
            setattr(row, name, value)
        self._journal.append(["~", self._name, key, fields])
        return row

    def remove(self, key: str) -> None:
        del self.rows[key]
        self._journal.append(["-", self._name, key])


class Journal:
    """The file behind a sandbox's tables."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tables: dict[str, Table[Any]] = {}
        self._file = -1
        self._gathered: list[bytes] | None = None

    def table(self, name: str, row_type: type[Row]) -> Table[Row]:
        """Declare a table. All tables are declared before `load`."""
        table = Table(self, name, row_type)
        self._tables[name] = table
        return table

    def load(self) -> None:
        """Read the file into the tables and open it for appending; drop what later lines made superfluous."""
        raw: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in self._tables}
        lines = 0
        for parts in read_lines(self._path):
            lines += 1
            rows = raw.get(parts[1])
            if rows is None:
                continue  # a table of an older program
            if parts[0] == "+":
                rows[parts[2]] = parts[3]
            elif parts[0] == "-":
                rows.pop(parts[2], None)
            elif parts[2] in rows:
                rows[parts[2]].update(parts[3])
        for name, table in self._tables.items():
            table.rows.update({key: table.row_type(**fields) for key, fields in raw[name].items()})
        if lines > max(_COMPACT_FROM_LINES, 2 * sum(len(table.rows) for table in self._tables.values())):
            self._compact()
        self._open()

    @contextmanager
    def together(self) -> Iterator[None]:
        """All changes inside become one write: after a kill either all or none of them are there."""
        if self._gathered is not None:
            yield
            return
        self._gathered = []
        try:
            yield
        finally:
            lines, self._gathered = self._gathered, None
            if lines:
                os.write(self._file, b"".join(lines))

    def append(self, parts: list[Any]) -> None:
        line = orjson.dumps(parts, option=orjson.OPT_APPEND_NEWLINE)
        if self._gathered is None:
            os.write(self._file, line)
        else:
            self._gathered.append(line)

    def clear(self) -> None:
        for table in self._tables.values():
            table.rows.clear()
        os.ftruncate(self._file, 0)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _compact(self) -> None:
        fresh = self._path.with_suffix(".compact")
        with fresh.open("wb") as file:
            for name, table in self._tables.items():
                for key, row in table.rows.items():
                    file.write(orjson.dumps(["+", name, key, row], option=orjson.OPT_APPEND_NEWLINE))
        fresh.replace(self._path)


def read_lines(path: Path) -> Iterator[Any]:
    """Every whole JSON line of the file. A tail without a line end (a write cut by a kill) is cut off the file."""
    if not path.exists():
        return
    whole_bytes = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            whole_bytes += len(line)
            yield orjson.loads(line)
    if whole_bytes < path.stat().st_size:
        os.truncate(path, whole_bytes)
