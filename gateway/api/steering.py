"""Steering a payout: cancel, and what a person reports of a manual one. A report like any other, through `apply`."""

import asyncio
from dataclasses import dataclass

import asyncpg
from aiohttp import web

from gateway.api import views
from gateway.api.auth import PAYOUT_WRITE, Caller
from gateway.api.body import fingerprint, idempotency_key, parse, read_body
from gateway.api.envelope import ApiError, ok
from gateway.api.parts import Parts, parts_of
from gateway.api.payouts import load
from gateway.apply import MovedOnError
from gateway.lifecycle import MARKS, is_unsent
from gateway.points import point
from gateway.recording import Said
from gateway.store import payouts
from gateway.store.changes import WaitsForLookupError
from gateway.store.rows import PayoutRow
from schemas.failure import FailureCode
from schemas.payout import FINAL_PHASES, AttemptState, Phase
from schemas.report import Progress, Taken
from schemas.requests import Cancel, MarkFailed, MarkPaid, MarkReturned, MarkWithReference

# The payout may be moving while it is being steered: how long to wait before each try, until whoever moves it has committed.
_TRY_AFTER_S = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request to steer a payout."""

    parts: Parts
    caller: Caller
    key: str
    mark: bytes
    failure_text: str | None = None
    evidence: str | None = None


async def _replayed(request: web.Request, asked: _Asked, row: PayoutRow) -> web.Response | None:
    used = await payouts.used_key(asked.parts.pool, asked.caller.account_id, asked.key)
    if used is None:
        return None
    if used.fingerprint != asked.mark or used.payout_id != row.id:
        raise ApiError(
            409,
            "idempotency_mismatch",
            "This Idempotency-Key was used for another request. Nothing was changed.",
            field="Idempotency-Key",
        )
    # The row was read before the key was: only another read surely sees what the first request did.
    return _answer(request, asked, await load(asked.parts, asked.caller, request), replayed=True)


def _answer(request: web.Request, asked: _Asked, row: PayoutRow, *, replayed: bool = False) -> web.Response:
    return ok(request, views.payout(row, asked.parts.connections.contract(row.provider)), replayed=replayed)


# What has to be marked before, while the payout is not over.
_COMES_FIRST = {Progress.PAID: "mark-in-transit", Progress.RETURNED: "mark-paid"}


def _conflict(row: PayoutRow, progress: Progress, what: str) -> ApiError:
    if row.cancel_asked and row.phase not in FINAL_PHASES:
        message = f"The provider is being asked to cancel it, so it cannot be {what} now. Nothing was changed."
        return ApiError(409, "state_conflict", message)
    state = row.attempt_state.value if row.attempt_state else row.phase.value
    stands = row.status if state == row.status else f"{row.status} ({state})"
    before = _COMES_FIRST.get(progress) if row.phase not in FINAL_PHASES else None
    first = f": {before} comes first" if before else ""
    return ApiError(409, "state_conflict", f"A payout that is {stands} cannot be {what}{first}. Nothing was changed.")


async def _report(request: web.Request, asked: _Asked, row: PayoutRow, report: Taken, what: str) -> web.Response | None:
    """Apply a person's word about a manual payout; None when the payout moved and has to be looked at again."""
    contract = asked.parts.connections.contract(row.provider)
    if not contract.operator_marks:
        raise ApiError(
            409, "state_conflict", f"{contract.title} reports this payout's progress itself; it cannot be {what} by hand."
        )
    if row.phase is Phase.QUEUED and AttemptState.SENDING in MARKS[report.progress]:
        await asked.parts.dispatcher.claim_one(row.id, row.provider)
        return None
    if row.attempt_id is None or row.attempt_state not in MARKS[report.progress]:
        raise _conflict(row, report.progress, what)
    said = Said(
        account_id=row.account_id,
        attempt_id=row.attempt_id,
        report=report,
        source=asked.caller.source,
        request_key=asked.key,
        fingerprint=asked.mark,
        failure_text=asked.failure_text,
        evidence=asked.evidence,
        allowed_from=MARKS[report.progress],
    )
    if await asked.parts.apply.by_person(said) is None:
        return None
    return _answer(request, asked, await load(asked.parts, asked.caller, request))


def _is_at_provider(asked: _Asked, row: PayoutRow) -> bool:
    """Whether the provider has it and can be asked to stop it."""
    contract = asked.parts.connections.contract(row.provider)
    return not contract.operator_marks and views.cancelable(row, contract)


async def _steer(request: web.Request, asked: _Asked, report: Taken, what: str) -> web.Response:
    for wait_s in _TRY_AFTER_S:
        await asyncio.sleep(wait_s)
        row = await load(asked.parts, asked.caller, request)
        if answer := await _replayed(request, asked, row):
            return answer
        try:
            if report.progress is Progress.CANCELLED and is_unsent(row.phase, row.attempt_state):
                await asked.parts.apply.cancel_queued(
                    row, source=asked.caller.source, request_key=asked.key, fingerprint=asked.mark
                )
                return _answer(request, asked, await load(asked.parts, asked.caller, request))
            if report.progress is Progress.CANCELLED and _is_at_provider(asked, row):
                point("cancel_wanted")
                await asked.parts.apply.ask_to_cancel(
                    row, source=asked.caller.source, request_key=asked.key, fingerprint=asked.mark
                )
                point("cancel_on_disk")
                return _answer(request, asked, await load(asked.parts, asked.caller, request))
            if answer := await _report(request, asked, row, report, what):
                return answer
        except WaitsForLookupError as error:
            raise ApiError(
                409,
                "state_conflict",
                "The database was restored, and this payout may have been sent before: it is looked up first, and cannot be "
                f"{what} until then. Nothing was changed.",
            ) from error
        except (MovedOnError, asyncpg.UniqueViolationError):
            continue  # somebody was faster: the dispatcher, or the same request at another connection
    raise ApiError(
        503, "service_unavailable", "The payout is moving right now. Nothing was changed; repeat the request.",
        headers={"Retry-After": "1"},
    )  # fmt: skip


async def mark_in_transit(request: web.Request) -> web.Response:
    """`POST /api/v1/payouts/{id}/mark-in-transit`."""
    parts = parts_of(request)
    body = await read_body(request)
    caller = await parts.auth.caller(request, PAYOUT_WRITE, body)
    given = parse(MarkWithReference, request, body)
    asked = _Asked(parts, caller, idempotency_key(request), fingerprint(request))
    return await _steer(request, asked, Taken(Progress.IN_TRANSIT, reference=given.reference), "marked in transit")


async def mark_paid(request: web.Request) -> web.Response:
    """`POST /api/v1/payouts/{id}/mark-paid`."""
    parts = parts_of(request)
    body = await read_body(request)
    caller = await parts.auth.caller(request, PAYOUT_WRITE, body)
    given = parse(MarkPaid, request, body)
    asked = _Asked(parts, caller, idempotency_key(request), fingerprint(request), evidence=given.evidence)
    return await _steer(request, asked, Taken(Progress.PAID, reference=given.reference), "marked paid")


async def mark_failed(request: web.Request) -> web.Response:
    """`POST /api/v1/payouts/{id}/mark-failed`."""
    parts = parts_of(request)
    body = await read_body(request)
    caller = await parts.auth.caller(request, PAYOUT_WRITE, body)
    given = parse(MarkFailed, request, body)
    asked = _Asked(parts, caller, idempotency_key(request), fingerprint(request), given.failure_reason, given.evidence)
    return await _steer(request, asked, Taken(Progress.FAILED, failure_code=FailureCode.OPERATOR), "marked failed")


async def mark_returned(request: web.Request) -> web.Response:
    """`POST /api/v1/payouts/{id}/mark-returned`: the bank sent the money back after it had been paid."""
    parts = parts_of(request)
    body = await read_body(request)
    caller = await parts.auth.caller(request, PAYOUT_WRITE, body)
    given = parse(MarkReturned, request, body)
    asked = _Asked(parts, caller, idempotency_key(request), fingerprint(request), given.reason, given.evidence)
    return await _steer(request, asked, Taken(Progress.RETURNED, failure_code=FailureCode.RETURNED), "marked returned")


async def cancel(request: web.Request) -> web.Response:
    """`POST /api/v1/payouts/{id}/cancel`: certain before it is sent, and for a manual payout that nobody has started.

    Where the provider can still stop it, the answer only says that it will be asked: what comes of it is read there.
    """
    parts = parts_of(request)
    body = await read_body(request)
    caller = await parts.auth.caller(request, PAYOUT_WRITE, body)
    parse(Cancel, request, body)
    asked = _Asked(parts, caller, idempotency_key(request), fingerprint(request))
    row = await load(parts, caller, request)
    if not views.cancelable(row, parts.connections.contract(row.provider)):
        if answer := await _replayed(request, asked, row):
            return answer
        raise _conflict(row, Progress.CANCELLED, "cancelled")
    return await _steer(request, asked, Taken(Progress.CANCELLED), "cancelled")
