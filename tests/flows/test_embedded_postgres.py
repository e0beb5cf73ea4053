"""The PostgreSQL we start ourselves: it keeps what was committed through every way to end it, and lets nobody in unasked."""

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import psycopg
import pytest

from gateway import embedded_postgres
from gateway.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0

GATEWAY = """
import asyncio, shutil, sys
from pathlib import Path
import asyncpg
from gateway import embedded_postgres

data_dir, mark, *options = sys.argv[1:]
if "without-setpriv" in options:
    shutil.which = lambda name: None
if "by-hand" in options:
    embedded_postgres._SETTINGS = tuple(s for s in embedded_postgres._SETTINGS if s != embedded_postgres._MARK)

async def main():
    async with embedded_postgres.EmbeddedPostgres(Path(data_dir)) as postgres:
        connection = await asyncpg.connect(postgres.dsn)
        await connection.execute("create table if not exists kept (n uuid)")
        await connection.execute("insert into kept values ($1)", mark)
        print(postgres.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


# Tests share two data directories, since a first start takes longer than everything else; each leaves its own in order.
@pytest.fixture(scope="module")
def open_data() -> Iterator[Path]:
    """A data directory in a folder that every user may pass, unlike pytest's own."""
    with folder_open_to_all() as folder:
        yield folder / "data"


@pytest.fixture(scope="module")
def private_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory in a folder that only its owner may pass."""
    folder = tmp_path_factory.mktemp("private")
    folder.chmod(0o700)
    return folder / "data"


@pytest.fixture(params=["open_data", "private_data"])
def data_dir(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@contextlib.contextmanager
def folder_open_to_all() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextlib.asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def commit(postgres: EmbeddedPostgres, mark: UUID) -> None:
    async with connected(postgres.dsn) as connection:
        await connection.execute("create table if not exists kept (n uuid)")
        await connection.execute("insert into kept values ($1)", mark)


async def kept(postgres: EmbeddedPostgres, mark: UUID) -> bool:
    async with connected(postgres.dsn) as connection:
        return await connection.fetchval("select count(*) from kept where n = $1", mark) == 1


@contextlib.contextmanager
def another_gateway(
    data_dir: Path, mark: UUID, *options: str, before: tuple[str, ...] = ()
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A gateway process of its own, which has committed the mark, and the process id of its PostgreSQL."""
    command = [*before, sys.executable, "-c", GATEWAY, str(data_dir), str(mark), *options]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield process, int(line)
        finally:
            process.kill()


@contextlib.contextmanager
def moved(path: Path, target: Path) -> Iterator[Path]:
    path.rename(target)
    try:
        yield target
    finally:
        target.rename(path)


@contextlib.contextmanager
def broken(path: Path, text: str | None) -> Iterator[None]:
    """The file with another text, or gone, for a while."""
    with moved(path, path.with_name("moved")):
        if text is not None:
            path.write_text(text)
        yield


def owner_of_process(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


async def gone(pid: int) -> bool:
    return await embedded_postgres._ends(lambda: embedded_postgres._command_line(pid) != "", 5.0)


async def test_keeps_its_data_and_leaves_no_process(data_dir: Path) -> None:
    before, mark = data_dir.parent.stat(), uuid4()
    postgres = EmbeddedPostgres(data_dir)
    await postgres.start()
    first_dsn = postgres.dsn
    await commit(postgres, mark)
    async with connected(postgres.dsn) as connection:
        pids = [postgres.pid, *(row["pid"] for row in await connection.fetch("select pid from pg_stat_activity"))]
    await postgres.stop()

    assert postgres.pid is None
    assert len(pids) > 3
    assert all([await gone(pid) for pid in pids])

    await postgres.start()
    assert postgres.dsn == first_dsn
    assert await kept(postgres, mark)
    await postgres.stop()
    after = data_dir.parent.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


async def test_is_durable_private_and_open_to_both_drivers(private_data: Path) -> None:
    async with EmbeddedPostgres(private_data) as postgres:
        with psycopg.connect(postgres.dsn) as connection:
            assert connection.execute("select current_user, current_database()").fetchone() == ("gateway", "gateway")
        async with connected(postgres.dsn) as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
                assert await connection.fetchval(f"show {setting}") == "on"
            assert await connection.fetchval("show listen_addresses") == ""
            assert await connection.fetchval("select rolsuper from pg_roles where rolname = current_user") is False
            await connection.execute("drop database if exists another")
            await connection.execute("create database another")
        async with connected(postgres.dsn_of("another")) as connection:
            assert await connection.fetchval("select current_database()") == "another"

        for wrong in (postgres.dsn.replace("gateway:", "gateway:x"), postgres.dsn.replace("gateway:", "postgres:")):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(wrong)

        assert stat.S_IMODE((private_data / "password").stat().st_mode) == 0o600
        assert stat.S_IMODE((private_data / "postgres.log").stat().st_mode) == 0o600
        assert postgres._password not in (private_data / "postgres.log").read_text()


async def test_two_run_side_by_side_also_where_the_path_is_too_long_for_a_socket(open_data: Path, private_data: Path) -> None:
    async with EmbeddedPostgres(private_data), EmbeddedPostgres(open_data):
        pass
    with moved(private_data, private_data.with_name("long name, " * 12)) as long_dir:
        async with EmbeddedPostgres(open_data) as one, EmbeddedPostgres(long_dir) as other:
            socket_dir = other._socket_dir
            assert one.pid != other.pid
            async with connected(one.dsn) as connection, connected(other.dsn) as other_connection:
                assert await connection.fetchval("select 1") == await other_connection.fetchval("select 1") == 1
            with psycopg.connect(other.dsn) as connection:
                assert connection.execute("select 1").fetchone() == (1,)
        assert not socket_dir.exists()


async def test_a_second_start_names_the_process_that_runs_it(private_data: Path) -> None:
    async with EmbeddedPostgres(private_data) as postgres:
        with pytest.raises(EmbeddedPostgresError, match=rf"Process {os.getpid()} .*PostgreSQL is process {postgres.pid}\b"):
            await EmbeddedPostgres(private_data).start()
        with pytest.raises(EmbeddedPostgresError, match="already started"):
            await postgres.start()
        async with connected(postgres.dsn) as connection:
            assert await connection.fetchval("select 1") == 1


async def test_a_killed_postgres_recovers_what_was_committed(private_data: Path) -> None:
    postgres = EmbeddedPostgres(private_data)
    await postgres.start()
    mark = uuid4()
    await commit(postgres, mark)
    # A session in the middle of a statement outlives the main process, and the next start has to wait for it.
    busy = await asyncpg.connect(postgres.dsn)
    running = asyncio.create_task(busy.fetch("select count(*) from generate_series(1, 5000000)"))
    await asyncio.sleep(0.05)
    os.kill(postgres.pid, signal.SIGKILL)
    await postgres.stop()

    await postgres.start()
    with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await running
    busy.terminate()
    assert await kept(postgres, mark)
    await postgres.stop()


@pytest.mark.parametrize("option", ["with-setpriv", "without-setpriv"])
async def test_starts_after_its_gateway_was_killed(open_data: Path, option: str) -> None:
    mark = uuid4()
    with another_gateway(open_data, mark, option) as (gateway, left_over):
        gateway.kill()
        gateway.wait()
        async with EmbeddedPostgres(open_data) as postgres:
            assert postgres.pid != left_over
            assert await gone(left_over)
            assert await kept(postgres, mark)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="the system offers no signal at the death of a parent")
async def test_goes_when_its_gateway_is_killed(private_data: Path) -> None:
    with another_gateway(private_data, uuid4()) as (gateway, left_over):
        gateway.kill()
        assert await gone(left_over)
    assert "database system is shut down" in (private_data / "postgres.log").read_text()


async def test_leaves_a_postgres_alone_that_no_gateway_started(open_data: Path) -> None:
    with another_gateway(open_data, uuid4(), "without-setpriv", "by-hand") as (gateway, stranger):
        gateway.kill()
        gateway.wait()
        try:
            with pytest.raises(EmbeddedPostgresError, match=f"Process {stranger} already runs PostgreSQL"):
                await EmbeddedPostgres(open_data).start()
            assert embedded_postgres._command_line(stranger)
        finally:
            os.kill(stranger, signal.SIGINT)
        assert await gone(stranger)


async def test_ctrl_c_shuts_it_down_in_order(private_data: Path) -> None:
    with another_gateway(private_data, uuid4()) as (gateway, pid):
        os.killpg(gateway.pid, signal.SIGINT)
        assert "KeyboardInterrupt" in gateway.communicate(timeout=10)[1]
        assert embedded_postgres._command_line(pid) == ""
    assert (private_data / "postgres.log").read_text().rstrip().endswith("database system is shut down")


async def test_says_why_postgres_did_not_start(private_data: Path) -> None:
    postgres = EmbeddedPostgres(private_data)
    async with postgres:
        pass
    for path, text, message in (
        (
            private_data / "cluster" / "postgresql.conf",
            "no such setting\n",
            r"(?s)status 1\..*GATEWAY_DATABASE_URL.*syntax error",
        ),
        (private_data / "password", "another\n", r"refused the password in"),
        (private_data / "password", None, r"password file .* is missing"),
    ):
        with broken(path, text), pytest.raises(EmbeddedPostgresError, match=message):
            await postgres.start()


async def test_a_first_start_that_was_cut_short_is_begun_anew(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    starting = asyncio.create_task(EmbeddedPostgres(data_dir).start())
    while not starting.done() and not list(data_dir.glob("cluster-new-*/PG_VERSION")):
        await asyncio.sleep(0.001)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    async with EmbeddedPostgres(data_dir) as postgres, connected(postgres.dsn) as connection:
        assert await connection.fetchval("select 1") == 1
    assert not list(data_dir.glob("cluster-new-*"))


@pytest.mark.skipif(not AS_ROOT or shutil.which("setpriv") is None, reason="only root can become another user")
async def test_works_for_an_ordinary_user_and_then_for_root(tmp_path: Path) -> None:
    uid, gid = embedded_postgres._account(tmp_path / "nothing here yet")
    os.chown(tmp_path, uid, gid)
    # The capability lets that user reach this interpreter and these sources wherever they are.
    passes_folders = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    ordinary_user = ("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *passes_folders)
    mark = uuid4()
    with another_gateway(tmp_path / "data", mark, before=ordinary_user) as (gateway, pid):
        assert owner_of_process(pid) == uid
        os.kill(gateway.pid, signal.SIGINT)
        gateway.communicate(timeout=10)
    async with EmbeddedPostgres(tmp_path / "data") as postgres:
        assert await kept(postgres, mark)


@pytest.mark.skipif(not AS_ROOT, reason="an ordinary user changes no account")
async def test_says_what_to_do_where_root_cannot_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(EmbeddedPostgresError, match=r"refuses to run as root.*ordinary user.*GATEWAY_DATA_DIR.*_DATABASE_URL"):
        await EmbeddedPostgres(tmp_path / "data").start()
