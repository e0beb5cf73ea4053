"""The desk at the edge: `resolve`, for payouts that only people can explain. Says what is true when it refuses.

The first call proposes, the same outcome from another person confirms, and nobody overwrites what somebody else proposed.
"""

import asyncio
import hashlib

import asyncpg
from aiohttp import web

from gateway.api import views
from gateway.api.auth import PAYOUT_RESOLVE, Caller
from gateway.api.body import fingerprint, idempotency_key, parse, read_body
from gateway.api.envelope import ApiError, ok
from gateway.api.parts import Parts, parts_of
from gateway.api.payouts import load
from gateway.apply import MovedOnError
from gateway.desk import UnresolvableError
from gateway.lifecycle import RESOLVED, Unresolvable
from gateway.resolving import Word, is_same_person
from gateway.store import payouts
from gateway.store.rows import PayoutRow, ProposalRow
from schemas.requests import Resolve
from schemas.resolution import WITHDRAW

# The payout may be moving while people decide about it: how long to wait before each try.
_TRY_AFTER_S = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2)
_UNCHANGED = "Nothing was changed."

_WHY = {
    Unresolvable.OFF_DESK: "A payout that is {status} ({state}) is not on the desk: there is nothing to resolve.",
    Unresolvable.SENDING: (
        "It may be on its way to the provider at this moment, so nobody can know yet how that ends. "
        "Its money stays reserved; try again when the answer is there."
    ),
    Unresolvable.OVERTAKEN: "Another attempt was made after it. Read the payout again.",
    Unresolvable.IMPOSSIBLE: "An attempt that is {state} did not end like that; it can be resolved as {possible}.",
    Unresolvable.PAID_LATE: (
        "Its attempt had ended and its money was released, so money that left all the same is an incident: close that with "
        "`payout-gateway incident close`."
    ),
    Unresolvable.PAID_ELSEWHERE: (
        "Another attempt of this payout has paid, so sending it again would pay it twice. If the newest one never left, "
        "resolve it as failed."
    ),
}


def _conflict(message: str, proposal: ProposalRow | None = None, *, code: str = "state_conflict") -> ApiError:
    details = [{"resolution": views.resolution(proposal)}] if proposal else None
    return ApiError(409, code, f"{message} {_UNCHANGED}", details=details)


def _refusal(row: PayoutRow, why: Unresolvable) -> ApiError:
    possible = RESOLVED[row.attempt_state] if row.attempt_state else {}
    return _conflict(
        _WHY[why].format(status=row.status, state=row.attempt_state or row.phase, possible=" or ".join(possible) or "nothing")
    )


def _answer(request: web.Request, parts: Parts, row: PayoutRow, *, replayed: bool = False) -> web.Response:
    """200, or 202 while it waits for the second person."""
    waits = row.proposal is not None and row.proposal.fits
    shown = views.payout(row, parts.connections.contract(row.provider))
    return ok(request, shown, status=202 if waits else 200, replayed=replayed)


async def _replayed(request: web.Request, parts: Parts, caller: Caller, word: Word) -> web.Response | None:
    used = await payouts.used_key(parts.pool, caller.account_id, word.request_key)
    if used is None:
        return None
    row = await load(parts, caller, request)
    if used.fingerprint != word.fingerprint or used.payout_id != row.id:
        raise ApiError(
            409,
            "idempotency_mismatch",
            f"This Idempotency-Key was used for another request, or by another key. {_UNCHANGED}",
            field="Idempotency-Key",
        )
    return _answer(request, parts, row, replayed=True)


def _check_desk(row: PayoutRow) -> None:
    if row.review_reason is None:
        raise _refusal(row, Unresolvable.OFF_DESK)
    if row.attempt_id is None:
        raise _conflict("Nothing of it was sent: it waits for a check of its destination. Cancel it, or let it be checked.")


async def _withdraw(parts: Parts, row: PayoutRow, word: Word) -> None:
    if row.proposal is None:
        raise _conflict("Nobody has proposed how to resolve this payout, so there is nothing to withdraw.")
    if not is_same_person(row.proposal.proposed_person, word.person):
        raise _conflict("Only the person who proposed this can withdraw it.", row.proposal)
    await parts.desk.withdraw(row, row.proposal, word)


async def _say(parts: Parts, row: PayoutRow, word: Word) -> None:
    """Do what this word means here and now."""
    _check_desk(row)
    proposal = row.proposal
    if proposal and not proposal.fits:
        await parts.desk.void(proposal)
        raise ApiError(
            409,
            "state_conflict",
            f"What was proposed ({proposal.outcome}) is void: the payout has moved or was sent again since, and its attempt is "
            f"{row.attempt_state} now. Its money stays reserved; look again, then propose anew.",
        )
    if word.outcome == WITHDRAW:
        await _withdraw(parts, row, word)
    elif proposal is None:
        await parts.desk.propose(row, word)
    elif proposal.outcome != word.outcome:
        raise _conflict(
            f"It is proposed already to resolve this payout as {proposal.outcome}. Confirm that, or have it withdrawn first.",
            proposal,
        )
    elif is_same_person(proposal.proposed_person, word.person):
        raise _conflict("You proposed this yourself: another person has to confirm it.", proposal, code="second_person_needed")
    else:
        await parts.desk.confirm(row, proposal, word)


async def resolve(request: web.Request) -> web.Response:
    """`POST /api/v1/payouts/{id}/resolve`: 202 for the first person's word, 200 once a second one has confirmed it."""
    parts = parts_of(request)
    body = await read_body(request)
    caller = await parts.auth.caller(request, PAYOUT_RESOLVE, body)
    if not caller.is_named:
        raise ApiError(
            403, "person_needed", "This key was made for nobody, and only people can say what became of money. Nothing was "
            "changed; use a key of a person (key create --person).", field="Authorization",
        )  # fmt: skip
    key = idempotency_key(request)
    given = parse(Resolve, request, body)
    word = Word(
        account_id=caller.account_id,
        key_id=caller.key_id,
        person=caller.person,
        outcome=given.outcome,
        evidence=given.evidence,
        reason=given.reason,
        request_key=key,
        # Who says it is part of what is said: a second person must not look like the first one's repetition.
        fingerprint=hashlib.sha256(fingerprint(request) + caller.key_id.encode()).digest(),
    )
    for wait_s in _TRY_AFTER_S:
        await asyncio.sleep(wait_s)
        row = await load(parts, caller, request)
        if answer := await _replayed(request, parts, caller, word):
            return answer
        try:
            await _say(parts, row, word)
            return _answer(request, parts, await load(parts, caller, request))
        except UnresolvableError as error:
            raise _refusal(row, error.why) from error
        except (MovedOnError, asyncpg.UniqueViolationError):
            continue  # somebody was faster: the provider, another person, or the same request at another connection
    raise ApiError(
        503, "service_unavailable", "The payout is moving right now. Nothing was changed; repeat the request.",
        headers={"Retry-After": "1"},
    )  # fmt: skip
