"""The high-water mark: a small file outside the database that says how far the database had come when this host last sent.

A database that comes back without what was sent cannot know that; this file can. One file for each process of a host, the
first free of `high-water.json`, `high-water-2.json` ... Judges and remembers; opens no hold and reads no database.
"""

import errno
import fcntl
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

_MAX_PROCESSES = 64
_SECTOR = 512


class MarkError(RuntimeError):
    """The mark cannot be kept, so nobody could tell later that this database forgot what was sent. Nothing is started."""


class OlderDatabaseError(RuntimeError):
    """The database is not the one that this process has sent for, or not as far. Nothing was claimed or sent."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a database stands. `lsn` is what of its log is on disk; `knows`: whether it has the attempt that was asked for."""

    system: int
    timeline: int
    lsn: int
    at: datetime  # by the database's clock
    knows: bool

    @property
    def place(self) -> str:
        """The end of the log as PostgreSQL writes it."""
        return _place(self.lsn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where the database stood, and the last attempt that was stored before something left."""

    system: int
    timeline: int
    lsn: int
    at: datetime
    attempt_id: str | None = None
    key: str | None = None  # the attempt's: what the database is asked for
    highest_number: int = 0  # of all attempts that left through here: how far a look-up has to go

    @property
    def place(self) -> str:
        """The same as of a position."""
        return _place(self.lsn)


def _place(lsn: int) -> str:
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


_PROBLEMS: tuple[tuple[Callable[[Mark, Position], bool], str], ...] = (
    (lambda m, p: m.system != p.system, "it is another PostgreSQL (system {p.system}, and it was {m.system})"),
    (lambda m, p: m.timeline != p.timeline, "it was restored or promoted (timeline {p.timeline}, and it was {m.timeline})"),
    (lambda m, p: p.lsn < m.lsn, "its log ends at {p.place}, and had come to {m.place}"),
    (lambda _, p: not p.knows, "it does not know attempt {m.attempt_id}, which was stored before it was sent"),
)


def problem_of(mark: Mark, position: Position) -> str | None:
    """Why a database cannot be the one that the mark was set for, as far as it had come; None when it can."""
    for is_problem, text in _PROBLEMS:
        if is_problem(mark, position):
            return text.format(m=mark, p=position)
    return None


class HighWater:
    """The mark of this process, and those that other processes of this host have left."""

    def __init__(self, file: Path) -> None:
        """Nothing is read or held before `take`."""
        self.own: Mark | None = None
        self.file = file
        self._first = file
        self._handle: int | None = None
        self._is_stale = False

    def take(self) -> None:
        """Take the first file that no other process holds, and its mark. Raises `MarkError` when none can be kept there."""
        try:
            self._first.parent.mkdir(parents=True, exist_ok=True)
            self.file, self._handle = self._free()
            self.own = _read(self.file)
        except OSError as error:
            raise MarkError(
                f"The high-water mark {self._first} cannot be kept: {error.strerror}. It shows when a database has forgotten "
                "what was sent, so nothing was started. Set GATEWAY_MARK_FILE to a file on a durable volume of this host."
            ) from error

    def close(self) -> None:
        """Leave the file to the next process."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def left_behind(self) -> list[Mark]:
        """All marks of this host, those of processes that no longer run too."""
        files = [self._nth(n) for n in range(1, _MAX_PROCESSES + 1)]
        return [mark for file in files if (mark := _read(file)) is not None]

    @staticmethod
    def check(position: Position, mark: Mark | None) -> None:
        """Raise `OlderDatabaseError` unless the database is at least as far as it was. Asked inside each claim.

        `mark`: our own as it stood before the position was asked for; the watch may have moved it on since.
        """
        problem = problem_of(mark, position) if mark else None
        if problem:
            raise OlderDatabaseError(f"The database is not what this process has sent for: {problem}. Nothing was sent.")

    def make_ready(self) -> None:
        """Raise OSError while the last mark could not be written: what is claimed now could not be marked either."""
        if self._is_stale and self.own:
            self._keep(self.own)

    def sent(self, position: Position, attempt_id: str, key: str, number: int) -> None:
        """Remember a committed claim, before the first byte of it leaves. Raises OSError; then nothing may leave."""
        self._keep(
            Mark(
                system=position.system,
                timeline=position.timeline,
                lsn=max(position.lsn, self.own.lsn if self.own else 0),
                at=position.at,
                attempt_id=attempt_id,
                key=key,
                highest_number=max(number, self.own.highest_number if self.own else 0),
            )
        )

    def reached(self, position: Position) -> None:
        """Remember how far the same database has come meanwhile, through others too."""
        if self.own is None:
            self.moved_to(position)
        else:
            self._keep(replace(self.own, lsn=max(position.lsn, self.own.lsn), at=position.at))

    def moved_to(self, position: Position) -> None:
        """Begin anew with another database, once a hold is open there, or when it holds nothing that could be forgotten."""
        self._keep(Mark(system=position.system, timeline=position.timeline, lsn=position.lsn, at=position.at))

    def _keep(self, mark: Mark) -> None:
        self.own = mark
        self._is_stale = True
        if self._handle is None:
            raise OSError(errno.EBADF, "the high-water mark was not taken, or is closed")
        # In place, as one disk sector: it is there whole or not at all, and takes a microsecond. A new file under the old
        # name would take hundreds, since file systems flush it to the disk. Not flushed here either: what is in the page
        # cache survives every end of this process, and the seconds that a crash of the host may take from it only matter
        # if the database loses the same ones at the same moment.
        os.pwrite(self._handle, orjson.dumps(asdict(mark)).ljust(_SECTOR - 1) + b"\n", 0)
        self._is_stale = False

    def _nth(self, n: int) -> Path:
        return self._first if n == 1 else self._first.with_stem(f"{self._first.stem}-{n}")

    def _free(self) -> tuple[Path, int]:
        for n in range(1, _MAX_PROCESSES + 1):
            file = self._nth(n)
            handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
            else:
                return file, handle
        raise MarkError(f"{_MAX_PROCESSES} processes keep their high-water marks beside {self._first} already.")


def _read(file: Path) -> Mark | None:
    try:
        text = file.read_bytes()
        if not text:  # whoever made it ended before it had sent anything
            return None
        content: dict[str, Any] = orjson.loads(text)
        return Mark(**{**content, "at": datetime.fromisoformat(content["at"])})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise MarkError(
            f"The high-water mark {file} cannot be read, so nobody can tell whether the database has forgotten what was sent. "
            "Nothing was started. Declare a hold (payout-gateway hold declare), move that file away, and start again."
        ) from error
