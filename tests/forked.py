"""A command as a process of its own, without the seconds that loading its modules takes: a fork server has them loaded.

What a child does is what `python -m module words` does from its first line on. A few tests still start Python itself, as a
person does; what they show about starting holds for these too.
"""

import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any, Self

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.kill.serve", "gateway.cli_processes", "providers.sandbox.server"])
_ROOT = Path(__file__).parents[1]


class Forked:
    """Looks like a `subprocess.Popen` with a pipe for its output, and a file for its errors unless they go to the output."""

    def __init__(self, module: str, *words: str, env: Mapping[str, str], errors_to_output: bool = False) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        ours, theirs = os.pipe()
        self.stdout = os.fdopen(ours, encoding="utf-8")
        fds = {1: theirs, 2: theirs if errors_to_output else self._errors.fileno()}
        self._process = CONTEXT.Process(target=_run, args=(module, words, dict(env), _Fds(fds)), daemon=True)
        self._process.start()
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def end(self) -> None:
        """Kill it if it still runs, and leave nothing open."""
        self.kill()
        self.wait(10)
        self.stdout.close()
        self._errors.close()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            assert self._process.pid is not None
            os.kill(self._process.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float) -> int:
        """Its status; raises where it does not end in time."""
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutError(f"it did not end in {timeout:.0f} s")
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """What it has written until its end: (output, errors)."""
        out = self.stdout.read()
        self.wait(timeout)
        self._errors.seek(0)
        return out, self._errors.read().decode()


class _Fds:
    """Descriptors that travel to the child."""

    def __init__(self, fds: Mapping[int, int]) -> None:
        self.fds = dict(fds)

    def __getstate__(self) -> dict[int, Any]:
        return {there: DupFd(here) for there, here in self.fds.items()}

    def __setstate__(self, state: dict[int, Any]) -> None:
        self.fds = {there: passed.detach() for there, passed in state.items()}


def _run(module: str, words: tuple[str, ...], env: dict[str, str], passed: _Fds) -> None:
    os.setsid()
    os.chdir(_ROOT)
    os.environ.clear()
    os.environ.update(env)
    for there, here in passed.fds.items():
        os.dup2(here, there)
        os.close(here)
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
