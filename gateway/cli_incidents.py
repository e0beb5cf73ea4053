"""The commands for what went wrong: `verify`, `incident list|show|close`, and `connection resume`.

Only words and flags are read here; what they do is in `gateway.incidents` and `gateway.store.invariants`.
"""

import sys
import time
from typing import Annotated

import asyncpg
import typer

from gateway import incidents, logs
from gateway.cli_accounts import with_database
from gateway.cli_settings import run, settings_on_database
from gateway.onboarding import check_account
from gateway.running import command_pool
from gateway.store.database import Pool
from gateway.store.incidents import IncidentRow, list_incidents
from gateway.store.invariants import Rule, check_rule, rules
from schemas.incident import ClosedAs
from schemas.money import to_decimal

incident_app = typer.Typer(name="incident", help="What must not happen and did.", no_args_is_help=True)

_VERIFY_TIMEOUT_S = 3600.0  # nobody waits for it but the person who asked

IncidentId = Annotated[str, typer.Argument(help="inc_..., from `incident list`", show_default=False)]


def verify() -> None:
    """Check every rule of the books and histories once; 1 when one is broken, or could not be checked."""
    settings = settings_on_database()
    logs.configure("warning", stream=sys.stderr.buffer)

    async def work() -> int:
        async with command_pool(settings) as pool:
            kept = [await _verify_one(pool, rule) for rule in rules()]
        typer.echo(f"{sum(kept)} of {len(kept)} rules hold")
        return 0 if all(kept) else 1

    run(work())


async def _verify_one(pool: Pool, rule: Rule) -> bool:
    started = time.monotonic()
    try:
        finding = await check_rule(pool, rule, timeout_s=_VERIFY_TIMEOUT_S)
    except asyncpg.PostgresError as error:
        typer.echo(f"{'UNCHECKED':>9}  {rule.name:<22}  {rule.meaning} ({type(error).__name__}: nobody knows whether it holds)")
        return False
    many = finding.many if finding else 0
    took_ms = (time.monotonic() - started) * 1000
    typer.echo(f"{many or 'ok':>9}  {rule.name:<22}  {took_ms:>7.0f} ms  {rule.meaning}")
    for offender, account_id in finding.offenders if finding else ():
        typer.echo(f"{'':>9}  {offender}  {account_id}")
    return many == 0


@incident_app.command("list")
def incident_list(
    account_id: Annotated[str | None, typer.Argument(help="Only of this account.", show_default=False)] = None,
    *,
    also_closed: Annotated[bool, typer.Option("--all", help="Also those that were closed.")] = False,
) -> None:
    """List open incidents, the oldest first."""

    async def work(pool: Pool) -> None:
        if account_id is not None:
            await check_account(pool, account_id)
        for row in await list_incidents(pool, account_id=account_id, also_closed=also_closed):
            ended = f"  closed as {row.closed_as}" if row.closed_as else ""
            typer.echo(f"{row.id}  {row.opened_at:%Y-%m-%d %H:%M}  {row.kind:<16}  {_amount(row)}  {row.subject}{ended}")

    with_database(settings_on_database(), work)


@incident_app.command("show")
def incident_show(incident_id: IncidentId) -> None:
    """Show all that is known of an incident."""

    async def work(pool: Pool) -> None:
        _print(await incidents.find(pool, incident_id))

    with_database(settings_on_database(), work)


@incident_app.command("close")
def incident_close(
    incident_id: IncidentId,
    person: Annotated[str, typer.Option(help="Who closes it.", show_default=False)],
    closed_as: Annotated[
        ClosedAs,
        typer.Option("--as", help="A late payment is recovered or written off; any other incident is explained."),
    ],
    reason: Annotated[str, typer.Option(help="What was found out, and from whom.", show_default=False)],
) -> None:
    """Close an incident; money that was owed to us is booked as recovered or written off with it."""

    async def work(pool: Pool) -> None:
        _print(await incidents.close(pool, incident_id, person=person, closed_as=closed_as, reason=reason))

    with_database(settings_on_database(), work)


def connection_resume(
    connection_id: Annotated[str, typer.Argument(help="conn_..., from `connection list`", show_default=False)],
    *,
    anyway: Annotated[bool, typer.Option("--anyway", help="Although a late payment there is not closed.")] = False,
) -> None:
    """Let a connection send again that was paused, or stopped by a late payment."""

    async def work(pool: Pool) -> None:
        await incidents.resume(pool, connection_id, anyway=anyway)
        typer.echo(f"{connection_id} sends again, within a second, in every process")

    with_database(settings_on_database(), work)


def _amount(row: IncidentRow) -> str:
    if row.amount_minor is None or row.currency is None:
        return "?"
    return f"{row.currency} {to_decimal(row.amount_minor, row.currency):,f}"


def _print(row: IncidentRow) -> None:
    shown = {
        "id": row.id,
        "kind": row.kind,
        "subject": row.subject,
        "amount": _amount(row),
        "account": row.account_id,
        "connection": row.connection_id,
        "payout": row.payout_id,
        "attempt": row.attempt_id,
        "opened": row.opened_at.isoformat(timespec="seconds"),
        "what": row.detail,
        "closed": row.closed_at.isoformat(timespec="seconds") if row.closed_at else None,
        "as": row.closed_as,
        "by": row.closed_by,
        "because": row.closed_reason,
    }
    for name, value in shown.items():
        if value is not None:
            typer.echo(f"{name:<11} {value}")
