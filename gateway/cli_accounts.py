"""The commands that set up accounts, keys and connections, and book money in.

Secrets never come in by a flag: the command line of a process can be read by everybody on the machine, and shells keep
it. They are read from a file or standard input. A new key is printed once, when it is made, and never again.
"""

import sys
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import BaseModel, ValidationError

from gateway import logs
from gateway.api.auth import SCOPES
from gateway.cli_settings import explain, run, settings_on_database
from gateway.master_key_proof import prove_master_key
from gateway.onboarding import (
    OnboardingError,
    check_account,
    create_account,
    create_bearer_key,
    create_connection,
    create_signing_key,
    credit_account,
)
from gateway.running import command_pool, master_key
from gateway.sealing import Seal
from gateway.settings import Settings
from gateway.store import accounts
from gateway.store.database import Pool
from gateway.store.provider_balances import balances_of
from gateway.stuck import age_text
from providers.registry import PROVIDERS
from schemas import ids
from schemas.money import to_decimal
from schemas.strict_json import StrictJsonError, load_object

account_app = typer.Typer(name="account", help="Merchants using this gateway.", no_args_is_help=True)
key_app = typer.Typer(name="key", help="The keys that an account's requests carry.", no_args_is_help=True)
connection_app = typer.Typer(name="connection", help="An account's credentials at providers.", no_args_is_help=True)

_SECRETS_LIMIT_BYTES = 64 * 1024

AccountId = Annotated[str, typer.Argument(help="acct_...", show_default=False)]


class KeyKind(StrEnum):
    """How a key is used."""

    BEARER = "bearer"
    SIGNING = "signing"


def with_database(settings: Settings, work: Callable[[Pool], Awaitable[None]]) -> None:
    """Run a command's work on the database, quietly: what it prints is its answer."""
    logs.configure("warning", stream=sys.stderr.buffer)

    async def connected() -> int:
        async with command_pool(settings) as pool:
            await work(pool)
        return 0

    run(connected())


# --- account


@account_app.command("create")
def account_create(
    name: Annotated[str, typer.Argument(help="The merchant's name.", show_default=False)],
    currency: Annotated[str, typer.Option(help="The account's default currency.", show_default=False)],
) -> None:
    """Create an account and print its id."""

    async def work(pool: Pool) -> None:
        typer.echo(await create_account(pool, name, currency))

    with_database(settings_on_database(), work)


@account_app.command("list")
def account_list() -> None:
    """List all accounts: id, default currency, name."""

    async def work(pool: Pool) -> None:
        for account_id, name, currency in await accounts.list_accounts(pool):
            typer.echo(f"{account_id}  {currency}  {name}")

    with_database(settings_on_database(), work)


@account_app.command("credit")
def account_credit(
    account_id: AccountId,
    amount: Annotated[str, typer.Option(help="As a decimal number: 1000.00", show_default=False)],
    currency: Annotated[str, typer.Option(show_default=False)],
    reference: Annotated[str, typer.Option(help="Of the transfer that came in; each is booked once.", show_default=False)],
    memo: Annotated[str | None, typer.Option(show_default=False)] = None,
) -> None:
    """Book money that came in, once per reference."""

    async def work(pool: Pool) -> None:
        credit = await credit_account(pool, account_id, amount, currency, reference, memo)
        booked = "Booked" if credit.is_new else "Already booked before, and not again:"
        typer.echo(f"{booked} {currency} {to_decimal(credit.amount_minor, currency):,f} as {credit.transaction_id}")

    with_database(settings_on_database(), work)


# --- key


@key_app.command("create")
def key_create(
    account_id: AccountId,
    kind: Annotated[KeyKind, typer.Option(help="A Bearer key, or a pair for signed requests.")] = KeyKind.BEARER,
    scope: Annotated[
        list[str] | None, typer.Option(help="May be repeated; all scopes unless given.", show_default=False)
    ] = None,
    person: Annotated[
        str | None,
        typer.Option(help="Whose key it is; where two people must agree, all keys of one person are one.", show_default=False),
    ] = None,
) -> None:
    """Create a key and print it, this one time."""
    settings = settings_on_database()
    seal = Seal(master_key(settings))
    scopes = scope or SCOPES
    if unknown := set(scopes) - set(SCOPES):
        raise OnboardingError(f"no such scope: {', '.join(sorted(unknown))}; known are {', '.join(SCOPES)}")

    async def work(pool: Pool) -> None:
        await prove_master_key(pool, seal)
        if kind is KeyKind.BEARER:
            bearer = await create_bearer_key(pool, seal, account_id, scopes=scopes, person=person)
            shown = {"id": bearer.id, "key": bearer.key}
        else:
            pair = await create_signing_key(pool, seal, account_id, scopes=scopes, person=person)
            shown = {"id": pair.id, "keyId": pair.key_id, "secret": pair.secret}
        typer.echo("\n".join(f"{name}: {value}" for name, value in shown.items()))
        typer.echo("Store it now: it is not shown again.", err=True)

    with_database(settings, work)


@key_app.command("list")
def key_list(account_id: AccountId) -> None:
    """List an account's keys: id, kind, whether it works, whose it is, scopes. Never the key."""

    async def work(pool: Pool) -> None:
        await check_account(pool, account_id)
        for key_id, kind, person, scopes, revoked in await accounts.list_keys(pool, account_id):
            typer.echo(f"{key_id}  {kind:<7}  {'revoked' if revoked else 'active':<7}  {person}  {' '.join(scopes)}")

    with_database(settings_on_database(), work)


@key_app.command("revoke")
def key_revoke(
    account_id: AccountId, key_id: Annotated[str, typer.Argument(help="key_..., from `key list`", show_default=False)]
) -> None:
    """Revoke a key; within a second nothing accepts it any more."""

    async def work(pool: Pool) -> None:
        if not await accounts.revoke_key(pool, account_id, key_id):
            raise OnboardingError(f"account {account_id} has no active key {key_id}; nothing was changed")
        typer.echo(f"Revoked {key_id}")

    with_database(settings_on_database(), work)


# --- connection


@connection_app.command("create")
def connection_create(
    account_id: AccountId,
    provider: Annotated[str, typer.Argument(help=f"One of {', '.join(sorted(PROVIDERS))}.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="How it appears in timelines; the provider's name unless given.")] = None,
    setting: Annotated[list[str] | None, typer.Option(help="name=value; may be repeated.", show_default=False)] = None,
    secrets_file: Annotated[
        Path | None,
        typer.Option(
            help='A JSON object {"name": "value"}, or - for standard input. Never a flag: command lines are seen by all.',
            allow_dash=True,
            show_default=False,
        ),
    ] = None,
    currency: Annotated[list[str] | None, typer.Option(help="Only these; may be repeated.", show_default=False)] = None,
    priority: Annotated[int, typer.Option(help="Lower is preferred.")] = 100,
    again: Annotated[
        str | None,
        typer.Option("--id", help="conn_...: correct this one, or make it again after a restore.", show_default=False),
    ] = None,
    *,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="At our sandbox (GATEWAY_SANDBOX_URL): no money is real.")] = False,
) -> None:
    """Create a connection and print its id and the path that the provider's webhooks go to."""
    settings = settings_on_database()
    seal = Seal(master_key(settings))
    if again is not None and not ids.is_id(again, ids.CONNECTION):
        raise OnboardingError(f"{again} is no id of a connection: conn_ and 32 hexadecimal digits. Nothing was changed.")
    given = _pairs(setting or [])
    if sandbox:
        given = _at_sandbox(settings, provider, given)
    secret_values = _read_secrets(secrets_file) if secrets_file else {}

    async def work(pool: Pool) -> None:
        await prove_master_key(pool, seal)
        try:
            connection_id = await create_connection(
                pool,
                seal,
                PROVIDERS,
                account_id=account_id,
                provider=provider,
                name=name or provider,
                settings=_typed(PROVIDERS[provider].settings, given) if provider in PROVIDERS else given,
                secret_values=secret_values,
                currencies=currency or [],
                priority=priority,
                connection_id=again,
            )
        except ValidationError as error:
            known = PROVIDERS[provider]
            where = "settings (--setting)" if error.title == known.settings.__name__ else "secrets (--secrets-file)"
            fields = known.settings if error.title == known.settings.__name__ else known.secrets
            raise OnboardingError(
                f"Wrong {where}, so no connection was created. {explain(error)} Known are: {', '.join(fields.model_fields)}."
            ) from error
        typer.echo(connection_id)
        typer.echo(f"/webhooks/{provider}/{connection_id}")

    with_database(settings, work)


@connection_app.command("list")
def connection_list(account_id: AccountId) -> None:
    """List an account's connections: id, provider, priority, currencies, name, balance there. Never a secret."""

    async def work(pool: Pool) -> None:
        await check_account(pool, account_id)
        balances = await balances_of(pool, account_id)
        for row in await accounts.connections_of(pool, account_id):
            paused = f"  paused: {row.paused_reason}" if row.paused_reason else ""
            typer.echo(
                f"{row.id}  {row.provider:<8}  {row.priority:>4}  {','.join(row.currencies) or 'all'}  {row.name}{paused}"
            )
            for balance in (b for b in balances if b.connection_id == row.id):
                amount = f"{balance.currency} {to_decimal(balance.amount_minor, balance.currency):,f}"
                typer.echo(f"    balance there: {amount}, read {age_text(balance.age_s)} ago")

    with_database(settings_on_database(), work)


def _at_sandbox(settings: Settings, provider: str, given: dict[str, str]) -> dict[str, str]:
    """Only when it was asked for by name: nobody's payouts end in a sandbox because of a setting of the process."""
    if provider in PROVIDERS and "base_url" not in PROVIDERS[provider].settings.model_fields:
        raise OnboardingError(f"{provider} is not reached over a network, so it has no sandbox. Nothing was created.")
    if "base_url" in given:
        raise OnboardingError("--sandbox says where the provider is, and so does base_url: give one. Nothing was created.")
    return {**given, "base_url": f"{settings.sandbox_address}/{provider}"}


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name in pairs:
            raise OnboardingError(f"--setting {name}: write it once, as name=value. Nothing was created.")
        pairs[name] = value
    return pairs


def _typed(model: type[BaseModel], given: dict[str, str]) -> dict[str, Any]:
    """The settings as they were written; those that cannot be text are read as JSON (numbers, lists)."""
    try:
        model.model_validate(given)
    except ValidationError as error:
        wrong = {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}
        return {name: _json(value) if name in wrong else value for name, value in given.items()}
    return dict(given)


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _read_secrets(file: Path) -> dict[str, Any]:
    try:
        if str(file) == "-":
            raw = sys.stdin.buffer.read(_SECRETS_LIMIT_BYTES + 1)
        else:
            with file.open("rb") as opened:
                raw = opened.read(_SECRETS_LIMIT_BYTES + 1)
    except OSError as error:
        raise OnboardingError(f"The secrets cannot be read: {error.strerror} ({file}). Nothing was created.") from error
    if len(raw) > _SECRETS_LIMIT_BYTES:
        raise OnboardingError(f"The secrets have more than {_SECRETS_LIMIT_BYTES} bytes. Nothing was created.")
    try:
        return load_object(raw)
    except StrictJsonError as error:
        raise OnboardingError(f"The secrets are not a JSON object: {error}. Nothing was created.") from error
