"""Recovery: looks up every payout that a restored database may have sent and forgotten, at each provider that could have it.

What is found is taken over and goes on as what it is; what surely was not sent goes out after the release; the rest goes to
the desk. It never sends anything, and never takes silence for "not sent".
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from gateway.apply import Apply
from gateway.calls import look_up
from gateway.connections import Connections
from gateway.dispatcher import lease_s
from gateway.ids import attempt_id, attempt_key, new_id
from gateway.lookup_rules import Asked, Place, Ruled, Ruling, is_settled, rule
from gateway.loops import Failures, Loop
from gateway.recording import Said
from gateway.routing import Candidate, route
from gateway.store.database import Pool
from gateway.store.incidents import NewIncident, add_incidents
from gateway.store.lookups import (
    DueLookup,
    ForgottenAttempt,
    LookupState,
    adopt,
    ask_again,
    claim_lookups,
    close_lookups,
    list_payouts,
    settle_lookups,
)
from gateway.store.routes import RoutablePayout, routable_payouts
from schemas import ids
from schemas.incident import IncidentKind
from schemas.order import Lookup
from schemas.payout import FINAL_PHASES
from schemas.policy import Failover
from schemas.report import Unclear

_log = structlog.get_logger(__name__)

Made = TypeVar("Made")

SOURCE = "recovery"
_EVERY_S = 1.0
_AT_ONCE = 50
_LEASE_S = 120.0
_TOGETHER = 40  # lookups in one call: a connector that reads one by one gives up the rest of longer lists
_NUMBERS = 3  # later attempts that are asked for at least
# Waits before a payout is asked about again, by its tries; the last repeats.
_AGAIN_AFTER_S = (1.0, 2.0, 5.0, 15.0, 60.0)
_NO_CONNECTION = Ruled(
    Ruling.ASK_AGAIN, "its connection is not there, or the provider of it: put it back, so that the provider can be asked"
)


@dataclass(frozen=True, slots=True)
class _Question:
    """One payout, and where it may have gone."""

    due: DueLookup
    payout: RoutablePayout
    places: tuple[Place, ...]  # its present connection first; none when that is not there
    blind: tuple[Place, ...]  # those whose "not found" proves nothing


class Recovery(Loop):
    """Works while there is a payout to be looked up; else it is one look at an empty index."""

    name = "recovery"

    def __init__(self, pool: Pool, connections: Connections, apply: Apply) -> None:
        super().__init__(poll_s=_EVERY_S)
        self._pool = pool
        self._connections = connections
        self._apply = apply

    async def round(self) -> bool:
        """Look up what is due; whether there may be more. Raises `SomeFailedError` once all that can be done is done."""
        listed = await list_payouts(self._pool)
        if listed:
            _log.warning("recovery.listed", payouts=listed)
        due = await claim_lookups(self._pool, lease_s=_LEASE_S, limit=_AT_ONCE)
        await close_lookups(self._pool)
        if not due:
            return False
        payouts = await routable_payouts(self._pool, [(one.account_id, one.payout_id) for one in due])
        failures = Failures(self.name)
        tried = [await self._or_later(one, self._question(one, payouts), failures) for one in due]
        questions = [question for question in tried if question]
        answers = await self._ask(questions, failures)
        for question in questions:
            await self._or_later(question.due, self._carry_out(question, answers[question.due.payout_id]), failures)
        failures.end()
        return len(due) == _AT_ONCE

    async def _or_later(self, due: DueLookup, work: Awaitable[Made], failures: Failures) -> Made | None:
        """The hold waits for every payout, so the others go on; this one is tried again, and `hold status` tells of it."""
        made = None
        with failures.caught(payout=due.payout_id):
            try:
                made = await work
            except Exception as error:
                reason = f"our own work on it failed with {type(error).__name__}, and is tried again: the log says where"
                await ask_again(self._pool, [(due, _LEASE_S, reason)])
                raise
        return made

    async def _question(self, due: DueLookup, payouts: Mapping[str, RoutablePayout]) -> _Question:
        payout = payouts[due.payout_id]
        candidates = await self._connections.candidates(payout.account_id)
        policy = await self._connections.policy(payout.account_id)
        # Wider than routing: policy, priorities and currencies may have been others when it was sent.
        fitting = route(payout.wanted, [replace(candidate, currencies=frozenset()) for candidate in candidates]).ordered
        present = [candidate for candidate in candidates if candidate.connection_id == payout.connection_id]
        if not present:
            return _Question(due, payout, (), ())
        met = {candidate.connection_id: candidate for candidate in (*present, *fitting)}
        places = {c.connection_id: Place(c.connection_id, c.name, c.contract) for c in met.values()}
        blind = [
            places[c.connection_id]
            for c in met.values()
            if not c.contract.find_by_key and (c.connection_id == payout.connection_id or _may_go_on_to(c, policy.failover))
        ]
        return _Question(due, payout, tuple(places.values()), tuple(blind))

    async def _ask(self, questions: Sequence[_Question], failures: Failures) -> Mapping[str, list[Asked]]:
        """All that may have been sent, asked for connection by connection; answers by payout."""
        wanted: dict[str, list[tuple[_Question, Place, int]]] = defaultdict(list)
        for question in questions:
            last = max(question.due.number + _NUMBERS, question.due.last_number)
            for place in question.places:
                if not place.contract.operator_marks:
                    wanted[place.connection_id] += [(question, place, n) for n in range(question.due.number + 1, last + 1)]
        answers: dict[str, list[Asked]] = {question.due.payout_id: [] for question in questions}
        for asked in await asyncio.gather(*(self._ask_one(one, many, failures) for one, many in wanted.items())):
            for payout_id, answer in asked:
                answers[payout_id].append(answer)
        return answers

    async def _ask_one(
        self, connection_id: str, wanted: Sequence[tuple[_Question, Place, int]], failures: Failures
    ) -> list[tuple[str, Asked]]:
        connection = None
        with failures.caught(connection=connection_id):
            connection = await self._connections.usable(connection_id)
        lookups = [_lookup(question, place, number) for question, place, number in wanted]
        answers: list[tuple[str, Asked]] = []
        for start in range(0, len(lookups), _TOGETHER):
            chunk = lookups[start : start + _TOGETHER]
            gone = [Unclear("the connection is gone, or could not be read, or its secrets cannot be opened")] * len(chunk)
            reports = await look_up(connection, chunk) if connection else gone
            for (question, place, number), lookup, report in zip(wanted[start:], chunk, reports, strict=False):
                asked = Asked(place, number, lookup.attempt_id, lookup.key, report)
                answers.append((question.due.payout_id, asked))
        return answers

    async def _carry_out(self, question: _Question, answers: Sequence[Asked]) -> None:
        due = question.due
        settled = [
            (asked, is_settled(asked, quiet_s=due.hold_age_s, margin_s=lease_s(asked.place.contract))) for asked in answers
        ]
        ruled = rule(settled, question.blind, accepts_unknown=due.accepts_unknown) if question.places else _NO_CONNECTION
        if ruled.ruling is Ruling.ASK_AGAIN:
            wait_s = _AGAIN_AFTER_S[min(due.tries, len(_AGAIN_AFTER_S)) - 1]
            await ask_again(self._pool, [(due, wait_s, ruled.reason)])
        elif ruled.ruling is Ruling.CLEAR:
            await settle_lookups(self._pool, [(due, LookupState.CLEARED, ruled.reason)])
        elif due.phase in FINAL_PHASES:
            await self._found_too_late(question, ruled)
        elif ruled.about is not None:
            await self._take_over(question, ruled, ruled.about)
        elif ruled.at is not None:
            await self._to_person(question, ruled.reason, ruled.at)

    async def _take_over(self, question: _Question, ruled: Ruled, about: Asked) -> None:
        contradiction = _contradiction(about, ruled.also) if ruled.also else None
        if not await self._adopt(question, about, ruled.reason, contradiction, LookupState.FOUND):
            return
        await self._apply(
            Said(account_id=question.due.account_id, attempt_id=about.attempt_id, report=about.report, source=SOURCE)
        )

    async def _to_person(self, question: _Question, reason: str, place: Place) -> None:
        """Stand an attempt in for whatever was sent: it keeps the money reserved, and the desk can say how it ended."""
        number = question.due.number + 1
        lookup = _lookup(question, place, number)
        stands_in = Asked(place, number, lookup.attempt_id, lookup.key, Unclear(reason))
        await self._adopt(question, stands_in, reason, reason, LookupState.DESK)

    async def _adopt(
        self, question: _Question, asked: Asked, reason: str, review_reason: str | None, state: LookupState
    ) -> bool:
        contract = asked.place.contract
        forgotten = ForgottenAttempt(
            due=question.due,
            id=asked.attempt_id,
            key=asked.key,
            number=asked.number,
            connection_id=asked.place.connection_id,
            provider=contract.provider,
            method=contract.method,
            slots=contract.max_scheduled,
            submission_id=new_id(ids.SUBMISSION),
            event_id=new_id(ids.EVENT),
            source=SOURCE,
            reason=reason,
            review_reason=review_reason,
            state=state,
        )
        adopted = await adopt(self._pool, forgotten)
        named = {"account": question.due.account_id, "payout": question.due.payout_id, "attempt": asked.attempt_id}
        if adopted:
            _log.warning("recovery.adopted", **named, state=state)
        if review_reason:
            _log.error("payout.needs_review", **named, reason=review_reason)
        return adopted

    async def _found_too_late(self, question: _Question, ruled: Ruled) -> None:
        """Its money was given back before anybody could look: what was found is an incident, and a person's."""
        due, about = question.due, ruled.about
        detail = f"it ended as {due.phase}, and then: {ruled.reason}"
        if about is not None and about.taken and about.may_be_out:
            incident = NewIncident(
                id=new_id(ids.INCIDENT),
                kind=IncidentKind.UNKNOWN_PAYOUT,
                subject=about.taken.provider_ref or about.key,
                payout_id=due.payout_id,
                attempt_id=None,
                amount_minor=question.payout.amount_minor,
                currency=question.payout.currency,
                detail=detail,
            )
            await add_incidents(self._pool, due.account_id, about.place.connection_id, [incident])
            _log.error("recovery.found_too_late", account=due.account_id, payout=due.payout_id, reason=detail)
        await settle_lookups(self._pool, [(due, LookupState.OVER, detail)])


def _may_go_on_to(candidate: Candidate, limits: Failover) -> bool:
    return limits.enabled and (limits.providers is None or candidate.contract.provider in limits.providers)


def _lookup(question: _Question, place: Place, number: int) -> Lookup:
    payout = question.payout
    return Lookup(
        attempt_id=attempt_id(payout.id, place.connection_id, number),
        key=attempt_key(place.contract.key_format, payout.id, place.connection_id, number),
        amount_minor=payout.amount_minor,
        currency=payout.currency,
        sent_at=question.due.not_before,
    )


def _contradiction(about: Asked, also: Sequence[Asked]) -> str:
    others = ", ".join(f"attempt {asked.number} through {asked.place.title} (key {asked.key})" for asked in also)
    return (
        f"after a restore two forgotten attempts were found whose money may be out: attempt {about.number} through "
        f"{about.place.title}, and {others}. Ask both providers which of them paid."
    )
