"""Log lines on their way out: a few at a time while the process is busy, at once when something is wrong or it ends.

One write for each request would cost a busy gateway more than rendering the lines. What a SIGKILL takes with it are the
lines of the last moment that were not warnings. It looks into no line.
"""

import asyncio
import atexit
from typing import Protocol

_HOLD_S = 0.05
_HOLD_LINES = 200


class ByteStream(Protocol):
    """What lines are written to."""

    def write(self, line: bytes, /) -> object: ...
    def flush(self) -> object: ...


class HeldLines:
    """A stream in front of another one."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._lines: list[bytes] = []
        self._waiting = False
        atexit.register(self.let_go)

    def msg(self, line: bytes) -> None:
        """Hold a line and let it go soon; at once where no event loop runs that could do it later."""
        self._lines.append(line)
        if self._waiting and len(self._lines) < _HOLD_LINES:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.let_go()
            return
        if len(self._lines) >= _HOLD_LINES:
            self.let_go()
        elif not self._waiting:
            self._waiting = True
            loop.call_later(_HOLD_S, self.let_go)

    def let_go(self) -> None:
        """Write what is held."""
        self._waiting = False
        if self._lines:
            lines, self._lines = self._lines, []
            self._stream.write(b"\n".join(lines) + b"\n")
            self._stream.flush()
