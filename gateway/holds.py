"""How recovery holds are declared, watched over and released by people.

A release takes two of them, and every payout that may have been sent looked up or on the desk. It sends nothing itself.
"""

import asyncio

from gateway.hold_watch import LAST_NUMBER
from gateway.ids import new_id
from gateway.loops import SomeFailedError
from gateway.recovery import Recovery
from gateway.resolving import is_same_person
from gateway.store import holds
from gateway.store.database import Pool
from gateway.store.holds import HoldRow
from schemas import ids
from schemas.text import PERSON_LIMIT, REASON_LIMIT, is_line

_ROUNDS = 60
_ROUND_S = 0.5


class HoldError(RuntimeError):
    """What was asked for cannot be done with the hold as it stands. Nothing was changed, and nothing is sent."""


async def declare(pool: Pool, *, person: str, reason: str) -> HoldRow:
    """Open a hold by hand."""
    person, reason = person.strip(), reason.strip()
    if not (is_line(person, most=PERSON_LIMIT) and is_line(reason, most=REASON_LIMIT)):
        raise HoldError(
            "a hold is declared by somebody and for a reason: name both, in one line of printable characters each "
            f"(at most {PERSON_LIMIT} and {REASON_LIMIT}). Nothing was changed."
        )
    opened = await holds.open_hold(pool, hold_id=new_id(ids.HOLD), reason=reason, declared_by=person, last_number=LAST_NUMBER)
    hold = await _open(pool)
    if not opened:
        raise HoldError(
            f"A hold is open already, since {hold.opened_at:%Y-%m-%d %H:%M:%S} UTC: {hold.reason}. Nothing was changed."
        )
    return hold


async def release(pool: Pool, recovery: Recovery, *, person: str, accept_unknown: bool) -> HoldRow:
    """Say that nothing stands against sending again; the second person to say so ends the hold."""
    person = person.strip()
    hold = await _open(pool)
    if not is_line(person, most=PERSON_LIMIT):
        raise HoldError(
            f"a hold is released by people: name yourself, by at most {PERSON_LIMIT} printable characters. Nothing was changed."
        )
    if hold.released_first_by and is_same_person(hold.released_first_by, person):
        raise HoldError(
            f"{hold.released_first_by} has released it already; another person has to as well. Nothing was changed."
        )
    if accept_unknown:
        hold = await _send_to_desk(pool, recovery, hold, person)
    if hold.listed_at is None:
        raise HoldError("Nothing was looked up yet: a gateway with the role loops has to run for that. Nothing was changed.")
    if hold.to_look_up and accept_unknown:
        raise HoldError(
            f"{hold.to_look_up} payouts are still not looked up, and could be paid twice: payout-gateway hold status says what "
            "they wait for. The hold stays open and nothing is sent. That you accept what is unknown is kept, and a running "
            "gateway goes on with them: put right what is said there, or wait, then repeat this."
        )
    if hold.to_look_up:
        raise HoldError(
            f"{hold.to_look_up} payouts are not looked up yet, and could be paid twice: see payout-gateway hold status. "
            "Nothing was changed. --accept-unknown sends those to the desk for which no provider gives a clear answer."
        )
    step = holds.release_second if hold.released_first_by else holds.release_first
    if not await step(pool, hold.id, person):
        raise HoldError("Somebody else has released it at the same moment. Nothing was changed; look at it again.")
    return await _last(pool)


async def _send_to_desk(pool: Pool, recovery: Recovery, hold: HoldRow, person: str) -> HoldRow:
    """Ask once more, and put what is still unknown on the desk."""
    await holds.accept_unknown(pool, hold.id, person)
    for _ in range(_ROUNDS):
        try:
            more = await recovery.round()
        except SomeFailedError:
            more = True  # those wait for their lease; the others must not wait for them
        hold = await _last(pool)
        if hold.listed_at is not None and not hold.to_look_up:
            break
        if not more:  # a running gateway is asking about the rest
            await asyncio.sleep(_ROUND_S)
    return hold


async def _open(pool: Pool) -> HoldRow:
    hold = await holds.last_hold(pool)
    if hold is None or hold.released_second_by is not None:
        raise HoldError("No recovery hold is open. Nothing was changed.")
    return hold


async def _last(pool: Pool) -> HoldRow:
    hold = await holds.last_hold(pool)
    if hold is None:
        raise HoldError("The hold is gone from the database. Nothing was changed.")
    return hold
