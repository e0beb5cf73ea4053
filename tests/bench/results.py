"""A measured row, the goals, the machine, and the one table that shows them."""

import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

GOAL_CREATE_RATIO = 0.30
GOAL_PAID_PER_S = 400.0
FLOOR_OF_THE_GOAL = 24_300.0  # answers a second of a bare handler on the two cores where the goals were set
GOAL_MEMORY_MB = 200.0
_WIDTH_OF_A_FILE = 150


@dataclass(kw_only=True)
class Row:
    """One line of the table: medians over its runs, and the largest memory."""

    name: str
    per_s: list[float] = field(default_factory=list)
    ratio: list[float] = field(default_factory=list)  # each run against the runs of the floor around it
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)  # of the measured server process
    cpu: list[float] = field(default_factory=list)  # of the measured server process, in cores
    cpu_us: list[float] = field(default_factory=list)  # the same per answer
    goal: str = ""
    is_reached: bool | None = None


def _median(values: Sequence[float], form: str) -> str:
    return format(statistics.median(values), form) if values else "-"


def memory_row(rows: Sequence[Row]) -> Row:
    """The largest resident memory of any gateway process that was measured, against its goal."""
    largest = max((value for row in rows for value in row.memory_mb), default=0.0)
    return Row(
        name="largest gateway process",
        memory_mb=[largest],
        goal=f"under {GOAL_MEMORY_MB:.0f} MB",
        is_reached=largest < GOAL_MEMORY_MB,
    )


def machine(postgres_version: str) -> str:
    """What it was measured on."""
    model = platform.processor()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        names = [line.partition(":")[2].strip() for line in cpu_info.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    return (
        f"{psutil.cpu_count()} cores, {model or 'unknown CPU'}, {platform.system()}; "
        f"Python {platform.python_version()}, PostgreSQL {postgres_version}"
    )


def show(rows: Sequence[Row], notes: Sequence[str], title: str) -> None:
    """Print the table."""
    table = Table(title=title, title_justify="left", caption="\n".join(notes), caption_justify="left", caption_style="")
    table.add_column("")
    for column in ("per second", "of the floor", "p50 ms", "p99 ms", "memory MB", "CPU", "CPU µs each"):
        table.add_column(column, justify="right")
    table.add_column("goal")
    for row in rows:
        verdict = {None: "", True: "reached: ", False: "missed: "}[row.is_reached]
        table.add_row(
            row.name,
            _median(row.per_s, ",.0f"),
            _median(row.ratio, ".3f"),
            _median(row.p50_ms, ",.1f"),
            _median(row.p99_ms, ",.1f"),
            f"{max(row.memory_mb):,.0f}" if row.memory_mb else "-",
            _median(row.cpu, ".0%"),
            _median(row.cpu_us, ",.0f"),
            f"{verdict}{row.goal}",
            style={None: "", True: "green", False: "red"}[row.is_reached],
        )
    console = Console()
    Console(width=None if console.is_terminal else _WIDTH_OF_A_FILE).print(table)
