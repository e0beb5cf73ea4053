"""Verdicts as tables for a person. Prints to the terminal, and nothing anywhere else."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.prove import checker
from tests.prove.checker import Wrong
from tests.prove.policies import POLICIES
from tests.prove.verdict import Verdict

_MANY_LINES = 12


def show(console: Console, verdict: Verdict, commit: str) -> None:
    """One run."""
    plan, figures, ran = verdict.plan, verdict.figures, verdict.ran
    table = Table(title=f"Fault world: seed {plan.seed}, commit {commit}, policy {plan.policy}, {plan.gateways} gateways")
    table.add_column("what")
    table.add_column("found", justify="right")
    table.add_column("note")
    counts = checker.counted(verdict.findings)
    for wrong in Wrong:
        many = counts[wrong]
        bound = f"0 of {figures.payouts:,} (95 % upper bound {3 / figures.payouts:.1e})" if not many and figures.payouts else ""
        table.add_row(wrong.value, str(many), bound, style="red" if many else None)
    converged = "NOT within its time" if ran.converged_s is None else f"{ran.converged_s:.1f} s"
    table.add_section()
    for what, value, note in (
        ("payouts", f"{figures.payouts:,}", ", ".join(f"{many} {phase}" for phase, many in sorted(figures.by_phase.items()))),
        ("needing a person", str(figures.on_desk), f"{figures.were_on_desk} more were on a desk until a fact ended it"),
        ("time to certainty", f"{figures.median_s:.2f} s", f"median; p95 {figures.p95_s:.2f} s"),
        (
            "failed over",
            str(figures.failed_over),
            f"{figures.failed_over_and_paid} paid at last; {verdict.came_back_unseen} after a return unseen",
        ),
        ("attempts", f"{figures.attempts:,}", f"{figures.sends:,} sends"),
        (
            "faults on",
            f"{ran.faults_s:.0f} s",
            f"then everything certain after {converged}; the whole run took {verdict.took_s:.0f} s",
        ),
        ("done to processes", str(sum(verdict.strokes.values())), _counts(verdict.strokes)),
        ("provider faults", f"{sum(verdict.hits.values()):,}", _counts(verdict.hits)),
    ):
        table.add_row(what, value, note)
    console.print(table)
    for reason, many in list(figures.desk_reasons.items())[:_MANY_LINES]:
        console.print(f"  on the desk: {many} x {reason}", markup=False, highlight=False)
    for finding in verdict.findings[:_MANY_LINES]:
        console.print(f"  {finding.wrong}: {finding.payout_id} {finding.text}", style="red", markup=False, highlight=False)
    for payout_id, lines in verdict.timelines.items():
        console.print(f"  {payout_id}", *lines, sep="\n      ", markup=False, highlight=False, soft_wrap=True)
    if verdict.folder:
        console.print(f"  kept: {verdict.folder}", markup=False, highlight=False)
    word, style = ("GREEN", "bold green") if verdict.is_green else ("RED", "bold red")
    console.print(word, style=style)


_COMPARED = {
    "paid twice": Wrong.PAID_TWICE,
    "lost": Wrong.LOST,
    "wrongly failed": Wrong.FAILED_BUT_PAID,
    "wrongly paid": Wrong.PAID_BUT_NOT,
}
_COLUMNS = ("how it decides", *_COMPARED, "needing a person", "certain after: median", "95 %")


def compare(console: Console, verdicts: Sequence[Verdict], commit: str) -> None:
    """The same world and seed, decided by different rules."""
    table = Table(title=_title(verdicts, commit))
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column == _COLUMNS[0] else "right")
    for verdict in verdicts:
        table.add_row(*_compared(verdict), style=None if is_safe(verdict) else "red")
    console.print(table)


def compare_in_markdown(verdicts: Sequence[Verdict], commit: str) -> str:
    """The same table for the README."""
    rows = [_COLUMNS, ("---", *["---:"] * (len(_COLUMNS) - 1)), *(_compared(verdict) for verdict in verdicts)]
    return "\n".join([f"{_title(verdicts, commit)}:", "", *(f"| {' | '.join(row)} |" for row in rows)])


def is_safe(verdict: Verdict) -> bool:
    """Whether nothing of what the comparison compares went wrong."""
    counts = checker.counted(verdict.findings)
    return not any(counts[wrong] for wrong in _COMPARED.values())


def _title(verdicts: Sequence[Verdict], commit: str) -> str:
    plan = verdicts[0].plan
    return f"The same world, seed {plan.seed}, {plan.payouts:,} payouts each, commit {commit}"


def _compared(verdict: Verdict) -> tuple[str, ...]:
    counts, figures = checker.counted(verdict.findings), verdict.figures
    wrongs = (str(counts[wrong]) for wrong in _COMPARED.values())
    tells = POLICIES[verdict.plan.policy].tells
    return (tells, *wrongs, str(figures.on_desk), f"{figures.median_s:.1f} s", f"{figures.p95_s:.1f} s")


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{many} {what}" for what, many in sorted(counted.items(), key=lambda item: -item[1]))
