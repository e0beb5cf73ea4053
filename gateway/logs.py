"""JSON logs on standard output: one line an event, with ids and codes. Nobody passes bodies, headers or numbers in.

As a second net, every value goes through `redact`: what looks like a card or account number, or a key, is covered.
"""

import logging
import re
import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
import structlog

from gateway.log_lines import HeldLines
from providers.account_numbers import cover_numbers

# Our ids, the keys of attempts, and moments: what somebody has to search for, and no number of anybody.
_OURS = re.compile(
    r"(?<![A-Za-z\d])((?:[a-z]+_)?(?=[0-9-]{0,35}[a-f])[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}"
    r"|20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)?)(?![A-Za-z\d])"
)
_KEY = re.compile(r"\b(sk|pk|pr|ak|access|live|test|whsec|xnd)_[A-Za-z0-9_\-]{4,}|(?i:Bearer)\s+\S+")
_CHECKED = frozenset({"exception", "reason", "error"})


# Exceptions of libraries quote what they choked on: PostgreSQL in further lines (DETAIL), asyncpg and Python in quotes.
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'")


def _cover_exception(exception: dict[str, Any]) -> None:
    exception["exc_value"] = _cover(_QUOTED.sub("'***'", exception["exc_value"].partition("\n")[0]))
    exception["exc_notes"] = []
    for inner in exception["exceptions"]:
        for one in inner:
            _cover_exception(one)


def _cover(text: str) -> str:
    parts = _OURS.split(_KEY.sub("***", text))
    parts[::2] = map(cover_numbers, parts[::2])
    return "".join(parts)


@lru_cache(maxsize=256)
def _cover_event(event: Any) -> Any:
    return _cover(event) if isinstance(event, str) else event


def redact(fields: dict[str, Any]) -> None:
    """Cover what must never be in a log, in the fields that carry words of others."""
    fields["event"] = _cover_event(fields["event"])
    for name in _CHECKED & fields.keys():
        value = fields[name]
        if isinstance(value, str):
            fields[name] = _cover(value)
        elif name == "exception" and isinstance(value, list):
            for one in value:
                _cover_exception(one)


# Without local variables: a traceback must not carry what a function held.
_exceptions = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def _render(level: str, fields: dict[str, Any]) -> bytes:
    if "exc_info" in fields:
        _exceptions(None, level, fields)
    redact(fields)
    fields["level"] = level
    fields["timestamp"] = datetime.now(UTC)
    if None in fields.values():  # seldom
        fields = {name: value for name, value in fields.items() if value is not None}
    return orjson.dumps(fields, default=repr)


_CAN_WAIT = frozenset({"debug", "info"})


def _logger_from(level: int, held: HeldLines | None) -> type[Any]:
    class Logger(structlog.make_filtering_bound_logger(level)):  # type: ignore[misc] # made at run time
        """Renders a line in one step: structlog's chain of steps takes twice as long, and every request logs a line."""

        def _proxy_to_logger(self, method_name: str, event: str | None = None, *_args: Any, **fields: Any) -> None:
            fields["event"] = event
            self._logger.msg(_render(method_name, fields))
            if held is not None and method_name not in _CAN_WAIT:
                held.let_go()

    def info(self: Any, event: str, **fields: Any) -> None:
        fields["event"] = event
        self._logger.msg(_render("info", fields))

    if level <= logging.INFO:
        Logger.info = info  # past structlog's own steps, which take longer than rendering
    return Logger


class _Forward(logging.Handler):
    """Brings what libraries log by the standard module into the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        details = {"logger": record.name}
        if record.exc_info and record.exc_info[0]:
            details["error"] = record.exc_info[0].__name__
        structlog.get_logger().log(record.levelno, record.getMessage(), **details)


def configure(level: str, *, stream: Any = None) -> None:
    """Set logging up for the process; `stream` takes bytes and defaults to standard output, where lines are held a moment."""
    number = logging.getLevelNamesMapping()[level.upper()]
    stream = HeldLines(sys.stdout.buffer) if stream is None else stream
    held = stream if isinstance(stream, HeldLines) else None
    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=_logger_from(number, held),
        logger_factory=structlog.BytesLoggerFactory(stream) if held is None else lambda *_: held,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Forward()]
    root.setLevel(max(number, logging.WARNING))
