"""The commands for a database that may have forgotten what was sent: `hold declare`, `hold status`, `hold release`.

Only words and flags are read here; the work is in `gateway.holds` and `gateway.recovery`.
"""

from typing import Annotated

import typer

from gateway import holds
from gateway.apply import Apply
from gateway.cli_accounts import with_database
from gateway.cli_settings import settings_on_database
from gateway.connections import Connections
from gateway.learned import Learned
from gateway.master_key_proof import prove_master_key
from gateway.metrics import Metrics
from gateway.onward import OnwardRoutes
from gateway.recovery import Recovery
from gateway.running import master_key
from gateway.sealing import Seal
from gateway.store.database import Pool
from gateway.store.holds import HoldRow, last_hold
from gateway.store.lookups import waiting_reasons
from gateway.stuck import age_text
from providers.registry import PROVIDERS
from providers.transport import Transport

hold_app = typer.Typer(name="hold", help="After a restore: nothing is sent before it is known what was.", no_args_is_help=True)

_SHOWN = 10

Person = Annotated[str, typer.Option(help="Who you are: it is kept.", show_default=False)]


@hold_app.command("declare")
def hold_declare(person: Person, reason: Annotated[str, typer.Option(help="Why: it is kept.", show_default=False)]) -> None:
    """Send nothing from now on, until every payout was looked up and two people have released it."""

    async def work(pool: Pool) -> None:
        hold = await holds.declare(pool, person=person, reason=reason)
        typer.echo(f"{hold.id} is open: nothing is sent.")

    with_database(settings_on_database(), work)


@hold_app.command("status")
def hold_status() -> None:
    """Show the open hold, or the last one: since when, why, how far the look-ups are, and what they wait for."""

    async def work(pool: Pool) -> None:
        hold = await last_hold(pool)
        if hold is None:
            typer.echo("There was never a recovery hold.")
            return
        for line in _lines(hold):
            typer.echo(line)
        for many, detail in await waiting_reasons(pool, hold.id, limit=_SHOWN):
            typer.echo(f"    {many} wait: {detail}")

    with_database(settings_on_database(), work)


@hold_app.command("release")
def hold_release(
    person: Person,
    *,
    accept_unknown: Annotated[
        bool, typer.Option("--accept-unknown", help="Send to the desk what no provider gives a clear answer about.")
    ] = False,
) -> None:
    """Release the open hold; it ends when a second person does so too."""
    settings = settings_on_database()
    seal = Seal(master_key(settings))

    async def work(pool: Pool) -> None:
        # Under another key no connection can be opened, and all that could be looked up would go to the desk.
        await prove_master_key(pool, seal)
        async with Transport() as transport:
            connections = Connections(pool, seal, PROVIDERS, transport)
            onward = OnwardRoutes(pool, connections)
            apply = Apply(pool, connections.contract, Metrics(), lambda: None, onward, Learned())
            recovery = Recovery(pool, connections, apply)
            hold = await holds.release(pool, recovery, person=person, accept_unknown=accept_unknown)
        if hold.released_second_by is None:
            typer.echo(
                f"{hold.id}: released by {hold.released_first_by}. Nothing is sent before a second person releases it too."
            )
        else:
            typer.echo(f"{hold.id}: released by {hold.released_first_by} and {hold.released_second_by}. Payouts go out again.")

    with_database(settings, work)


def _lines(hold: HoldRow) -> list[str]:
    if hold.released_second_by is None:
        state = f"open for {age_text(hold.age_s)}: nothing is sent"
    else:
        state = f"released by {hold.released_first_by} and {hold.released_second_by}"
    done = hold.total - hold.to_look_up - hold.under_way
    lines = [
        f"{hold.id}  {state}",
        f"opened      {hold.opened_at:%Y-%m-%d %H:%M:%S} UTC by {hold.declared_by}: {hold.reason}",
    ]
    if hold.listed_at is None:
        lines.append("looked up   nothing yet: a gateway with the role loops has to run")
    else:
        lines.append(
            f"looked up   {done} of {hold.total - hold.under_way}: {hold.found} found and taken over, {hold.cleared} not sent "
            f"anywhere, {hold.desk} on the desk, {hold.over} ended by themselves"
        )
    if hold.under_way:
        lines.append(
            f"under way   {hold.under_way} more are read as always, and looked up before anything else of them is sent"
        )
    if hold.unknown_accepted_by:
        lines.append(f"unknown     accepted by {hold.unknown_accepted_by}")
    if hold.released_second_by is None:
        first = hold.released_first_by
        lines.append(
            f"released    by {first}; a second person is missing" if first else "released    by nobody; it takes two people"
        )
    return lines
