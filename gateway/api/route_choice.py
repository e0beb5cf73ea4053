"""Choosing a payout's route at the edge: where it goes, which connections can carry it, and the refusal when none can.

Reads what it needs and hands it to `gateway.routing`; creates and sends nothing.
"""

from dataclasses import dataclass, field

from gateway.api.auth import Caller
from gateway.api.envelope import ApiError
from gateway.api.parts import Parts
from gateway.routing import Exclusion, Route, Wanted, Why
from gateway.store import accounts
from gateway.store.cards import CardState
from schemas.destination import Balance, BankAccount, Card, DestinationType
from schemas.requests import CreatePayout

# Which reason for having no route becomes which error: (code, field). The most telling reason wins.
_NO_ROUTE: dict[Why, tuple[str, str]] = {
    Why.PIN: ("no_route", "connectionId"),
    Why.DESTINATION: ("no_route", "destination"),
    Why.POLICY: ("no_route", "connectionId"),
    Why.CURRENCY: ("no_route", "currency"),
    Why.COUNTRY: ("no_route", "destination.country"),
    Why.CARD: ("no_route", "destination.cardId"),
    Why.BANK_CODE: ("bank_code_not_supported", "bankCode"),
    Why.DESCRIPTOR: ("statement_descriptor_not_supported", "statementDescriptor"),
    Why.AMOUNT: ("amount_not_supported", "amount"),
}
_TELLING = list(Why)


@dataclass(slots=True)
class PaidTo:
    """Where the money goes, as the payout's row has it."""

    type: DestinationType
    bank_code: str | None = None
    bank_name: str | None = None
    bank_account_number: str | None = field(default=None, repr=False)
    bank_account_holder: str | None = field(default=None, repr=False)
    bank_country: str | None = None
    card_id: str | None = None


def _paid_to_account(account: BankAccount | CreatePayout) -> PaidTo:
    """A bank account; a request that carries one flat has the same fields under the same rules."""
    return PaidTo(
        DestinationType.BANK_ACCOUNT,
        account.bank_code,
        account.bank_name,
        account.bank_account_number,
        account.bank_account_holder,
        account.country if isinstance(account, BankAccount) else None,
    )


async def paid_to_of(parts: Parts, caller: Caller, wanted: CreatePayout) -> PaidTo:
    """Where the money goes: what the request names, else the account's default. Raises `ApiError` when there is neither."""
    if wanted.bank_name is not None:
        return _paid_to_account(wanted)
    match wanted.destination:
        case BankAccount() as account:
            return _paid_to_account(account)
        case Card(card_id=card_id):
            return PaidTo(DestinationType.CARD, card_id=card_id)
        case Balance():
            return PaidTo(DestinationType.BALANCE)
    stored = await accounts.bank_account(parts.pool, caller.account_id)
    if stored is None:
        raise ApiError(
            422,
            "bank_account_unconfigured",
            "The payout names no destination and this account has no default bank account. Nothing was created.",
            field="destination",
        )
    return _paid_to_account(BankAccount.model_validate(stored))


async def _card_connection(parts: Parts, caller: Caller, card_id: str) -> str:
    row = await parts.cards.submit((caller.account_id, card_id))
    if row is None:
        raise ApiError(422, "card_not_found", "This account has no such card.", field="destination.cardId")
    if row.state != CardState.ACTIVE:
        raise ApiError(
            422, "card_not_ready", f"The card is {row.state}; it can be paid once it is active.", field="destination.cardId"
        )
    return row.connection_id


def no_route(excluded: tuple[Exclusion, ...], wanted: CreatePayout) -> ApiError:
    """The refusal of a payout that nobody can carry, with the most telling reason first."""
    if not excluded:
        return ApiError(422, "no_route", "This account has no connection to any provider yet. Nothing was created.")
    telling = max(excluded, key=lambda e: _TELLING.index(e.why))
    code, field = _NO_ROUTE[telling.why]
    details = [{"connectionId": e.connection_id, "reason": e.reason} for e in excluded if e.why is not Why.PIN]
    if telling.why is Why.PIN:
        field = field if wanted.connection_id else "provider"
        message = "This account has no connection like the one that the request names."
    else:
        message = f"No connection can carry this payout: {telling.reason}."
    return ApiError(422, code, f"{message} Nothing was created.", field=field, details=details)


async def route_of(parts: Parts, caller: Caller, wanted: CreatePayout, paid_to: PaidTo, stable_key: str) -> Route:
    """The route of a payout that is asked for: in which order its account's connections can carry it, and why others cannot."""
    card_connection = await _card_connection(parts, caller, paid_to.card_id) if paid_to.card_id is not None else None
    router = await parts.connections.router(caller.account_id)
    return router.route(
        Wanted(
            amount_minor=wanted.amount,
            currency=wanted.currency,
            destination_type=paid_to.type,
            bank_code=paid_to.bank_code,
            country=paid_to.bank_country,
            descriptor=wanted.statement_descriptor,
            card_connection_id=card_connection,
            provider=wanted.provider,
            connection_id=wanted.connection_id,
            metadata=wanted.metadata,
            stable_key=stable_key,
        ),
        await parts.connections.policy(caller.account_id),
    )
