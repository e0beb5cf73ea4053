"""What a person sees of the demo: each step as a line when it happens, and under the lines how far each payout is.

On a terminal the lines flow above a live table; elsewhere (a pipe, CI) they are plain text. Shows; never asks or decides.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from gateway.demo.samples import Sample

_COLOURS = {"card": "cyan", "balance": "magenta", "bank": "blue", "manual": "yellow"}
_STATUS_COLOURS = {"paid": "green", "failed": "red", "refused": "red", "cancelled": "red", "in_transit": "cyan"}


def _status(status: str) -> Text:
    return Text(status.replace("_", " "), _STATUS_COLOURS.get(status, "default"))


class Screen:
    """One console; `Console.is_terminal` chooses between the two ways of showing."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def title(self, text: str) -> None:
        """The first line."""
        self.console.print(Text(f"\n {text}\n" if self.console.is_terminal else text, "bold"))

    def done(self, text: str) -> None:
        """Something is up and running."""
        self._line("✓", "green", text)

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Show that something takes a moment; nothing where nobody watches."""
        with self.console.status(f"[dim]{text}[/]") if self.console.is_terminal else nullcontext():
            yield

    def failed(self, text: str) -> None:
        """Something went wrong."""
        self._line("✗", "red", text)

    def note(self, text: str) -> None:
        """Something to know."""
        self._line("·", "dim", text)

    def _line(self, sign: str, colour: str, text: str) -> None:
        self.console.print(Text.assemble((f" {sign} ", colour), text), soft_wrap=not self.console.is_terminal)

    def step(self, name: str, at: datetime, status: str, reason: str, who: str) -> None:
        """One step of one payout."""
        clock = f"{at.astimezone():%H:%M:%S}.{at.microsecond // 100_000}"
        if not self.console.is_terminal:
            line = f"{clock}  {name:<8} {status.replace('_', ' '):<11}  {reason}  [{who}]"
            self.console.print(Text(line), soft_wrap=True)
            return
        row = Table.grid(padding=(0, 2, 0, 0), expand=True)
        for width in (11, 7, 11):
            row.add_column(width=width, no_wrap=True)
        row.add_column(ratio=1)
        row.add_column(justify="right", no_wrap=True)
        row.add_row(
            Text(f" {clock}", "dim"), Text(name, _COLOURS.get(name, "")), _status(status), Text(reason), Text(who, "dim")
        )
        self.console.print(row)

    @contextmanager
    def watching(self, samples: Sequence["Sample"]) -> Iterator[None]:
        """Show how far the samples are while this is open."""
        if not self.console.is_terminal:
            yield
            return
        with Live(_Board(samples), console=self.console, refresh_per_second=12, transient=True):
            yield

    def summary(self, samples: Sequence["Sample"], balances: Sequence[tuple[str, str, str]]) -> None:
        """The final states, and the books after them: (available, in transit, ledger balance) by currency."""
        payouts = Table("payout", "amount", "status", "after", box=None, header_style="dim", padding=(0, 2, 0, 0))
        payouts.add_column("id", no_wrap=True)  # to be copied
        for sample in samples:
            took = f"{sample.ended_at - sample.started_at:.1f} s" if sample.ended_at and sample.started_at else ""
            payout_id = sample.payout["id"] if sample.payout else ""
            payouts.add_row(sample.title, sample.amount, _status(sample.status), took, payout_id)
        books = Table("available", "in transit", "ledger balance", box=None, header_style="dim", padding=(0, 2, 0, 0))
        for column in books.columns:
            column.justify = "right"
        for balance in balances:
            books.add_row(*balance)
        for table in (payouts, books):
            self._block(table)

    def _block(self, content: RenderableType) -> None:
        self.console.print()
        self.console.print(Padding(content, (0, 0, 0, 1), expand=False))

    def panel(self, rows: Sequence[tuple[str, str]], command: str) -> None:
        """Where everything is, and a command to copy. The command stands alone, so that copying it takes nothing else."""
        grid = Table.grid(padding=(0, 2, 0, 0))
        for name, value in rows:
            grid.add_row(Text(name, "dim"), Text(value, overflow="fold"))
        self._block(Panel(grid, border_style="green", expand=False) if self.console.is_terminal else grid)
        self.console.print("\n Try one yourself, in another terminal:\n")
        self.console.print(Text(command, "bold"), soft_wrap=True)
        self.console.print()


class _Board:
    """The live table, made again for each frame."""

    def __init__(self, samples: Sequence["Sample"]) -> None:
        self._samples = samples
        self._spinners = {sample.name: Spinner("dots") for sample in samples}

    def __rich__(self) -> Group:
        table = Table.grid(padding=(0, 2, 0, 0))
        now = time.monotonic()
        for sample in self._samples:
            sign: RenderableType = self._spinners[sample.name]
            if sample.ended_at:
                sign = Text("✓", "green") if sample.is_paid else Text("✗", "red")
            passed = f"{(sample.ended_at or now) - sample.started_at:.1f} s" if sample.started_at else ""
            title = Text(sample.title, _COLOURS.get(sample.name, ""))
            table.add_row(" ", sign, title, Text(sample.amount, justify="right"), _status(sample.status), Text(passed, "dim"))
        ended = sum(sample.ended_at is not None for sample in self._samples)
        bar = Table.grid(padding=(0, 2, 0, 0))
        progress = ProgressBar(total=len(self._samples), completed=ended, width=40)
        bar.add_row("  ", progress, Text(f"{ended} of {len(self._samples)} final", "dim"))
        return Group(Text(""), table, Text(""), bar)
