"""Setting up accounts, keys and connections: what the command line and the demo do. Secrets are shown once, here."""

import hashlib
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import BaseModel, SecretStr, ValidationError

from gateway.api.auth import SCOPES
from gateway.ids import new_id
from gateway.sealing import Seal, connection_place, key_place
from gateway.store import accounts, ledger
from gateway.store.database import Pool
from providers.base import Provider
from schemas import ids
from schemas.money import CURRENCY_EXPONENT, InexpressibleAmountError, to_minor
from schemas.requests import CreditBalance
from schemas.text import PERSON_LIMIT, is_line

_NAME_LIMIT = 100
_PRIORITY_LIMIT = 1_000_000


class OnboardingError(ValueError):
    """What was asked for cannot be set up; the message says why. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class BearerKey:
    """A new Bearer key; the only time it is shown."""

    id: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A new signing pair; the only time the secret is shown."""

    id: str
    key_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credit:
    """Money that was brought in, now or by an earlier request with the same reference."""

    transaction_id: str
    amount_minor: int
    is_new: bool


async def create_account(pool: Pool, name: str, default_currency: str, account_id: str | None = None) -> str:
    """Create an account (or find it again under a given id); returns its id."""
    if default_currency not in CURRENCY_EXPONENT:
        raise OnboardingError(f"{default_currency} is not an ISO 4217 currency")
    name = name.strip()
    if not is_line(name, most=_NAME_LIMIT):
        raise OnboardingError(
            f"an account has a name, since that is how people find it: 1 to {_NAME_LIMIT} printable characters; "
            "no account was created"
        )
    account_id = account_id or new_id(ids.ACCOUNT)
    await accounts.create_account(pool, account_id, name, default_currency)
    return account_id


async def check_account(pool: Pool, account_id: str) -> None:
    """Raise unless there is such an account: one that has nothing yet looks the same in a list."""
    if not await accounts.account_exists(pool, account_id):
        raise OnboardingError(f"there is no account {account_id}")


def _person(name: str | None, key_id: str) -> str:
    """Whose key it is; of nobody named it is somebody's of its own. Spelling must not make two people of one."""
    person = key_id if name is None else unicodedata.normalize("NFKC", name).strip()
    if not is_line(person, most=PERSON_LIMIT):
        raise OnboardingError(f"a person is named by 1 to {PERSON_LIMIT} printable characters; no key was created")
    return " ".join(person.split())


async def create_bearer_key(
    pool: Pool,
    seal: Seal,
    account_id: str,
    *,
    key: str | None = None,
    scopes: Sequence[str] = SCOPES,
    person: str | None = None,
) -> BearerKey:
    """Create a Bearer key. Only its keyed hash is stored."""
    await check_account(pool, account_id)
    key = key or f"pk_live_{secrets.token_urlsafe(32)}"
    created = BearerKey(new_id("key"), key)
    await accounts.create_key(
        pool,
        account_id=account_id,
        key_id=created.id,
        kind="bearer",
        lookup=seal.lookup_of(key),
        person=_person(person, created.id),
        secret_sealed=None,
        scopes=list(scopes),
    )
    return created


async def create_signing_key(
    pool: Pool,
    seal: Seal,
    account_id: str,
    *,
    key_id: str | None = None,
    secret: str | None = None,
    scopes: Sequence[str] = SCOPES,
    person: str | None = None,
) -> SigningKey:
    """Create a key pair for signed requests. The secret is stored sealed, since signatures are checked with it."""
    await check_account(pool, account_id)
    created = SigningKey(
        new_id("key"), key_id or f"ak_live_{secrets.token_hex(12)}", secret or f"sk_live_{secrets.token_urlsafe(32)}"
    )
    await accounts.create_key(
        pool,
        account_id=account_id,
        key_id=created.id,
        kind="signing",
        lookup=created.key_id,
        person=_person(person, created.id),
        secret_sealed=seal.seal(created.secret.encode(), key_place(account_id, created.id)),
        scopes=list(scopes),
    )
    return created


def _reveal(model: BaseModel) -> bytes:
    def plain(value: Any) -> Any:
        return value.get_secret_value() if isinstance(value, SecretStr) else list(value)

    return orjson.dumps(model.model_dump(mode="python"), default=plain)


async def create_connection(
    pool: Pool,
    seal: Seal,
    providers: Mapping[str, Provider],
    *,
    account_id: str,
    provider: str,
    name: str,
    settings: Mapping[str, Any],
    secret_values: Mapping[str, Any],
    currencies: Sequence[str] = (),
    rate_per_s: float | None = None,
    priority: int = 100,
    connection_id: str | None = None,
) -> str:
    """Create a connection (or replace the one with this id); returns its id. Raises pydantic's error on wrong settings."""
    await check_account(pool, account_id)
    if provider not in providers:
        raise OnboardingError(f"there is no provider {provider}; known are {', '.join(sorted(providers))}")
    if abs(priority) > _PRIORITY_LIMIT:
        raise OnboardingError(f"a priority is between -{_PRIORITY_LIMIT:,} and {_PRIORITY_LIMIT:,}. Nothing was changed.")
    name = name.strip()
    if not is_line(name, most=_NAME_LIMIT):
        raise OnboardingError(f"a connection is named by 1 to {_NAME_LIMIT} printable characters. Nothing was changed.")
    known = providers[provider]
    unserved = set(currencies) - set(known.contract.amounts)
    if unserved:
        raise OnboardingError(f"{known.contract.title} does not pay in {', '.join(sorted(unserved))}")
    checked = known.settings.model_validate(dict(settings))
    secret = known.secrets.model_validate(dict(secret_values))
    if connection_id:
        present = await accounts.find_connection(pool, connection_id)
        if present and (present.account_id, present.provider) != (account_id, provider):
            raise OnboardingError(f"{connection_id} is another account's, or of {present.provider}. Nothing was changed.")
    connection_id = connection_id or new_id(ids.CONNECTION)
    await accounts.create_connection(
        pool,
        account_id=account_id,
        connection_id=connection_id,
        provider=provider,
        name=name,
        priority=priority,
        currencies=list(currencies),
        rate_per_s=rate_per_s,
        settings=checked.model_dump(mode="json"),
        secrets_sealed=seal.seal(_reveal(secret), connection_place(account_id, connection_id)),
    )
    return connection_id


async def credit_account(pool: Pool, account_id: str, amount: str, currency: str, reference: str, memo: str | None) -> Credit:
    """Book money that came in, once per reference. `amount` is decimal text, for a person."""
    await check_account(pool, account_id)
    try:
        # The same rules as at the API.
        wanted = CreditBalance(amount=to_minor(amount, currency), currency=currency, reference=reference, memo=memo)
    except InexpressibleAmountError as error:
        raise OnboardingError(f"{error}. Nothing was booked.") from error
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]
        raise OnboardingError(f"{problem['loc'][0]}: {problem['msg']}. Nothing was booked.") from error
    tx_id, outcome = await ledger.credit(
        pool,
        account_id=account_id,
        currency=wanted.currency,
        amount_minor=wanted.amount,
        reference=wanted.reference,
        fingerprint=hashlib.sha256(orjson.dumps(wanted.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).digest(),
        tx_id=new_id(ids.LEDGER_TRANSACTION),
        memo=wanted.memo,
    )
    if outcome == "reference_reused":
        raise OnboardingError(f"reference {reference} has brought in something else before ({tx_id}); nothing was booked")
    return Credit(tx_id, wanted.amount, outcome == "credited")
