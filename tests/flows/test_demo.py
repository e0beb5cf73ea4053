"""The demo as a person starts it: a process of its own, on free ports, with data of its own, and nothing left behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).parents[2]
SPEED = "8"
STOPS_WITHIN_S = 10


class Demo:
    """A running demo, and what it has printed so far."""

    def __init__(self, data_dir, *flags):
        settings = {
            "GATEWAY_DATA_DIR": str(data_dir),
            "GATEWAY_PORT": "0",
            "GATEWAY_SANDBOX_PORT": "0",
            "GATEWAY_SANDBOX_SPEED": SPEED,
        }
        self.data_dir = data_dir
        self.text = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "demo", *flags],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")} | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(STOPS_WITHIN_S)
        self.process.stdout.close()

    def add_account(self, name):
        """Another account in the demo's database, as `payout-gateway account create` makes it."""
        with psycopg.connect((self.data_dir / "postgres" / "address").read_text()) as database:
            database.execute("insert into account (id, name, default_currency) values ('acct_1', %s, 'IDR')", [name])

    def read_until(self, words):
        """Read on up to a line with these words."""
        for line in self.process.stdout:
            self.text += line
            if words in line:
                return line
        raise AssertionError(f"the demo ended without saying {words!r}:\n{self.text}")

    def finish(self):
        """Read to the end; the exit status."""
        self.text += self.process.stdout.read()
        return self.process.wait(STOPS_WITHIN_S)

    def left_behind(self):
        """Every process that still names our data folder in its command line."""
        listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,command="], capture_output=True, text=True, check=True).stdout
        return [line for line in listed.splitlines() if str(self.data_dir) in line]


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


def test_pays_one_of_each_shape_and_a_second_run_keeps_the_data(data_dir):
    with Demo(data_dir, "--once") as first:
        assert first.finish() == 0, first.text
    assert "Demo account with IDR 1,000,000,000.00, EUR 100,000.00, KZT 10,000,000.00" in first.text
    for shape in ("card", "balance", "bank", "manual"):
        assert re.search(rf"^\d\d:\d\d:\d\d\.\d  {shape} +paid ", first.text, re.MULTILINE), first.text
    assert "4 of 4 payouts are paid" in first.text
    assert (data_dir / "master-key").stat().st_mode & 0o077 == 0
    assert first.left_behind() == []

    with Demo(data_dir, "--once") as second:
        assert second.finish() == 0, second.text
    assert "Demo account with IDR 999,775,000.00, EUR 99,750.00, KZT 9,995,000.00" in second.text
    assert "4 of 4 payouts are paid" in second.text
    assert second.left_behind() == []


def test_the_printed_command_works_and_ctrl_c_stops_everything(data_dir):
    with Demo(data_dir) as demo:
        command = demo.read_until("curl ")
        demo.read_until("Ctrl-C stops everything")
        with Demo(data_dir, "--once") as second:
            assert second.finish() == 1
        assert "Another demo runs on the data in" in second.text
        if shutil.which("curl"):
            told = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=10).stdout
            assert json.loads(told)["data"]["provider"] == "pivot", told
        demo.process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert demo.finish() == 0
        assert time.monotonic() - began < STOPS_WITHIN_S
    assert "Stopped the gateway, the sandboxes and PostgreSQL" in demo.text
    assert "Traceback" not in demo.text
    assert demo.left_behind() == []


def test_killed_it_takes_the_sandboxes_along_and_the_next_run_goes_on(data_dir):
    with Demo(data_dir) as demo:
        demo.read_until("the provider says requested")
        demo.add_account("PT Contoh")  # is welcome, and the next run starts all the same
        demo.process.kill()
        demo.process.wait()
        deadline = time.monotonic() + STOPS_WITHIN_S
        while any("sandbox" in line for line in demo.left_behind()):
            assert time.monotonic() < deadline, demo.left_behind()
            time.sleep(0.05)
    with Demo(data_dir, "--once") as again:
        assert again.finish() == 0, again.text
    assert "from before are still open and go on" in again.text
    assert again.left_behind() == []
