"""The desk: what people find out about a payout that nobody else can explain. One proposes, another person confirms.

Nothing moves before the second one. Raises `MovedOnError` when the payout moved meanwhile: then it is read again and what was
said is judged anew. Calls no provider.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from gateway.apply import Apply, MovedOnError
from gateway.dispatcher import lease_s
from gateway.ids import new_id
from gateway.lifecycle import Decision, Unresolvable, resolve
from gateway.recording import situation_of
from gateway.resolving import Resolved, Word, proposed, withdrawn
from gateway.store.attempts import get_attempts
from gateway.store.database import Pool
from gateway.store.decisions import (
    add_proposal,
    confirm_proposal,
    paid_by_another,
    void_proposal,
    withdraw_proposal,
)
from gateway.store.rows import AttemptRow, PayoutRow, ProposalRow
from schemas import ids
from schemas.contract import Contract
from schemas.payout import AttemptState
from schemas.resolution import Outcome


class UnresolvableError(ValueError):
    """This cannot be said of the payout. Nothing was written."""

    def __init__(self, why: Unresolvable) -> None:
        super().__init__(why)
        self.why = why


class Desk:
    """Takes what people say, and carries it out once two of them say the same."""

    def __init__(self, pool: Pool, apply: Apply, contract_of: Callable[[str], Contract]) -> None:
        self._pool = pool
        self._apply = apply
        self._contract_of = contract_of

    async def propose(self, payout: PayoutRow, word: Word) -> None:
        """Write down what a first person found out. Raises `UnresolvableError`."""
        attempt, _ = await self._judge(payout, word)
        proposal = ProposalRow(
            account_id=payout.account_id,
            id=new_id(ids.DECISION),
            payout_id=payout.id,
            attempt_id=attempt.id,
            attempt_state=attempt.state,
            attempt_sends=attempt.sends,
            outcome=word.outcome,
            evidence=word.evidence,
            reason=word.reason,
            proposed_by=word.key_id,
            proposed_person=word.person,
            proposed_at=datetime.now(UTC),
            fits=True,
        )
        await self._apply.at_desk(proposed(payout, word), partial(add_proposal, row=proposal))

    async def confirm(self, payout: PayoutRow, proposal: ProposalRow, word: Word) -> None:
        """Carry out what a first person proposed, on the word of a second. Raises `UnresolvableError`."""
        attempt, decision = await self._judge(payout, word)
        also = partial(confirm_proposal, row=proposal, key_id=word.key_id, person=word.person)
        await self._apply.resolve(Resolved(proposal, word), attempt, decision, also)

    async def withdraw(self, payout: PayoutRow, proposal: ProposalRow, word: Word) -> None:
        """Take a proposal back."""
        await self._apply.at_desk(withdrawn(payout, word, proposal), partial(withdraw_proposal, row=proposal))

    async def void(self, proposal: ProposalRow) -> None:
        """End a proposal about an attempt that has moved since, or that was sent again: its evidence is older than that."""
        await void_proposal(self._pool, proposal)

    async def _judge(self, payout: PayoutRow, word: Word) -> tuple[AttemptRow, Decision]:
        """The newest attempt as it stands now, and what the word makes of it."""
        key = (payout.account_id, payout.attempt_id or "")
        attempt = (await get_attempts(self._pool, [key])).get(key[1])
        if attempt is None or attempt.seq != payout.seq:
            raise MovedOnError(f"{payout.id} moved while a person was deciding about it")
        outcome = Outcome(word.outcome)
        # A repetition is on its way for as long as its lease: to close the attempt now would be to guess how it ends.
        unconfirmed = attempt.state is AttemptState.UNCONFIRMED
        found = resolve(
            outcome,
            situation_of(attempt),
            being_sent=unconfirmed and attempt.quiet_s < lease_s(self._contract_of(attempt.provider)),
            paid_elsewhere=outcome is Outcome.NOT_SENT
            and await paid_by_another(self._pool, payout.account_id, payout.id, attempt.id),
        )
        if isinstance(found, Unresolvable):
            raise UnresolvableError(found)
        return attempt, found
