"""The command that asks a provider which banks and wallets it pays to, and says where our table of bank codes differs.

It reads only: no payout, no setting and no table is changed by it. A new code is an edit in the provider's folder.
"""

from typing import Annotated

import typer

from gateway.cli_accounts import with_database
from gateway.cli_settings import settings_on_database
from gateway.connections import Connection, Connections
from gateway.onboarding import OnboardingError
from gateway.running import master_key
from gateway.sealing import Seal
from gateway.store.database import Pool
from providers.registry import PROVIDERS
from providers.transport import Transport
from schemas.checks import Channel
from schemas.contract import Contract
from schemas.money import to_decimal
from schemas.report import Unclear


def connection_channels(
    connection_id: Annotated[str, typer.Argument(help="conn_..., from `connection list`", show_default=False)],
) -> None:
    """List the banks and wallets that the provider says it pays to: its code, our bankCode, currency, limits, name."""
    settings = settings_on_database()
    seal = Seal(master_key(settings))

    async def work(pool: Pool) -> None:
        async with Transport() as transport:
            connection = await Connections(pool, seal, PROVIDERS, transport).get(connection_id)
            if connection is None:
                raise OnboardingError(f"there is no connection {connection_id}")
            for line in _lines(connection.contract, await _ask(connection)):
                typer.echo(line)

    with_database(settings, work)


async def _ask(connection: Connection) -> list[Channel]:
    channels = await connection.connector.channels()
    if isinstance(channels, Unclear):
        said = " ".join(word for word in (channels.words.code, channels.words.text) if word)
        raise OnboardingError(channels.reason + (f" ({said})" if said else ""))
    return sorted(channels, key=lambda channel: (channel.currency, channel.code))


def _lines(contract: Contract, channels: list[Channel]) -> list[str]:
    unknown = sum(channel.bank_code is None for channel in channels)
    reached = {(channel.currency, channel.bank_code) for channel in channels}
    gone = [
        f"{code} ({currency})"
        for currency, known in sorted(contract.bank_codes.items())
        for code in sorted(known.listed)
        if (currency, code) not in reached
    ]
    lines = [_line(channel) for channel in channels]
    lines.append(f"{len(channels)} channels, {unknown} of them not in our table")
    if gone:
        lines.append(f"In our table, and not in the provider's list: {', '.join(gone)}")
    return lines


def _line(channel: Channel) -> str:
    bank_code = channel.bank_code or "NOT IN OUR TABLE"
    return f"{channel.code:<20}  {bank_code:<20}  {channel.currency}  {_limits(channel)}  {channel.name}".rstrip()


def _limits(channel: Channel) -> str:
    least, most, step = (
        "?" if minor is None else f"{to_decimal(minor, channel.currency):,f}"
        for minor in (channel.min_minor, channel.max_minor, channel.step_minor)
    )
    return f"{least} to {most} by {step}"
