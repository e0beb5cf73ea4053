"""The command that compares a connection with its provider's own list now, and prints what it found.

What it finds opens incidents as the daily comparison does; no payout and no book is moved by it.
"""

from typing import Annotated

import typer

from gateway.cli_accounts import with_database
from gateway.cli_settings import settings_on_database
from gateway.connections import Connections
from gateway.lookback import LookBack, LookedBack, Outcome
from gateway.master_key_proof import prove_master_key
from gateway.metrics import Metrics
from gateway.onboarding import OnboardingError
from gateway.running import master_key
from gateway.sealing import Seal
from gateway.store.database import Pool
from providers.registry import PROVIDERS
from providers.transport import Transport

lookback_app = typer.Typer(name="lookback", help="Comparing with what providers list.", no_args_is_help=True)


@lookback_app.callback()
def _group() -> None:
    """Without it a group of one command would swallow the command's name."""


@lookback_app.command("run")
def lookback_run(
    connection_id: Annotated[str, typer.Argument(help="conn_..., from `connection list`", show_default=False)],
) -> None:
    """Compare a connection's payouts with its provider's list since the last comparison."""
    settings = settings_on_database()
    seal = Seal(master_key(settings))

    async def work(pool: Pool) -> None:
        await prove_master_key(pool, seal)
        async with Transport() as transport:
            found = await LookBack(pool, Connections(pool, seal, PROVIDERS, transport), Metrics()).now(connection_id)
        if found is None:
            raise OnboardingError(f"there is no connection {connection_id} at a provider that lists its payouts")
        for line in _lines(found):
            typer.echo(line)
        if found.outcome is Outcome.UNREAD:
            raise OnboardingError(f"nothing was compared: {found.reason}")

    with_database(settings, work)


def _lines(found: LookedBack) -> list[str]:
    if found.outcome is Outcome.UNREAD:
        return []
    lines = [f"{difference.kind:<16}  {difference.subject}  {difference.detail}" for difference in found.differences]
    lines.append(f"{found.rows} on the list from {found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC")
    if found.outcome is Outcome.PARTIAL:
        lines.append(f"The list is not whole ({found.reason}), so nothing is said about what is missing on it")
    lines.append(f"{len(found.differences)} differences, {found.new} of them new; {found.doubts} attempts are read again")
    return lines
