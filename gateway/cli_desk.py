"""The command that lists what waits for a person. What becomes of it is said at the API by two people, and never here."""

from typing import Annotated

import typer

from gateway.cli_accounts import with_database
from gateway.cli_settings import settings_on_database
from gateway.store.database import Pool
from gateway.store.reviews import ReviewRow, list_reviews
from schemas.money import to_decimal

desk_app = typer.Typer(name="desk", help="What waits for a person.", no_args_is_help=True)


@desk_app.callback()
def _group() -> None:
    """Without it a group of one command would swallow the command's name."""


@desk_app.command("list")
def desk_list(
    account_id: Annotated[str | None, typer.Argument(help="Only of this account.", show_default=False)] = None,
) -> None:
    """List the payouts that wait for a person, in whatever phase, the longest first."""

    async def work(pool: Pool) -> None:
        for row in await list_reviews(pool, account_id):
            typer.echo("  ".join(_parts(row)))

    with_database(settings_on_database(), work)


def _parts(row: ReviewRow) -> list[str]:
    return [
        row.payout_id,
        row.account_id,
        f"{row.phase:<12}",
        f"since {row.since:%Y-%m-%d %H:%M} UTC",
        f"{row.currency} {to_decimal(row.amount_minor, row.currency):,f}",
        f"{row.provider} id {row.provider_ref or '-'} key {row.attempt_key or '-'}",
        row.reason,
    ]
