"""Decisions: what people at the desk propose, confirm and withdraw. Moves no payout: that is written beside it, by `apply`.

What was proposed never changes; the database allows only its end, and a confirmation only by another person.
"""

from collections.abc import Sequence

from gateway.store.attempts import Transacting
from gateway.store.database import Pool
from gateway.store.rows import ProposalRow


async def open_proposals(pool: Pool, account_id: str, payout_ids: Sequence[str]) -> dict[str, ProposalRow]:
    """The proposals that nobody has confirmed or withdrawn, by payout."""
    records = await pool.fetch(
        """select d.account_id, d.id, d.payout_id, d.attempt_id, d.attempt_state, d.attempt_sends, d.outcome, d.evidence,
                  d.reason, d.proposed_by, d.proposed_person, d.proposed_at,
                  p.review_reason is not null and p.attempt_id = d.attempt_id and a.state = d.attempt_state
                      and a.sends = d.attempt_sends as fits
             from decision d
             join payout p on p.account_id = d.account_id and p.id = d.payout_id
             join attempt a on a.account_id = d.account_id and a.id = d.attempt_id
            where d.account_id = $1 and d.payout_id = any ($2) and d.state = 'proposed'""",
        account_id,
        list(payout_ids),
    )
    return {record["payout_id"]: ProposalRow(**record) for record in records}


async def paid_by_another(pool: Pool, account_id: str, payout_id: str, attempt_id: str) -> bool:
    """Whether another attempt of this payout is known to have paid after it had ended."""
    return bool(
        await pool.fetchval(
            """select exists (select from attempt where account_id = $1 and payout_id = $2 and id <> $3
                                 and paid_late_at is not null)""",
            account_id,
            payout_id,
            attempt_id,
        )
    )


async def add_proposal(connection: Transacting, row: ProposalRow) -> bool:
    """Store a proposal, if its attempt still stands as the proposal says."""
    tag = await connection.execute(
        """insert into decision (account_id, id, payout_id, attempt_id, attempt_state, attempt_sends, outcome, evidence,
                                 reason, proposed_by, proposed_person, proposed_at)
           select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 from attempt
            where account_id = $1 and id = $4 and state = $5 and sends = $6""",
        row.account_id,
        row.id,
        row.payout_id,
        row.attempt_id,
        row.attempt_state,
        row.attempt_sends,
        row.outcome,
        row.evidence,
        row.reason,
        row.proposed_by,
        row.proposed_person,
        row.proposed_at,
    )
    return str(tag).endswith(" 1")


async def confirm_proposal(connection: Transacting, row: ProposalRow, *, key_id: str, person: str) -> bool:
    """End a proposal as confirmed, unless it has ended, or its attempt was sent again since."""
    tag = await connection.execute(
        """update decision d set state = 'confirmed', confirmed_by = $3, confirmed_person = $4, confirmed_at = now()
             from attempt a
            where d.account_id = $1 and d.id = $2 and d.state = 'proposed'
              and a.account_id = d.account_id and a.id = d.attempt_id and a.sends = d.attempt_sends""",
        row.account_id,
        row.id,
        key_id,
        person,
    )
    return str(tag).endswith(" 1")


async def withdraw_proposal(connection: Transacting, row: ProposalRow) -> bool:
    """End a proposal as withdrawn, unless it has ended."""
    tag = await connection.execute(
        "update decision set state = 'withdrawn' where account_id = $1 and id = $2 and state = 'proposed'",
        row.account_id,
        row.id,
    )
    return str(tag).endswith(" 1")


async def void_proposal(pool: Pool, row: ProposalRow) -> None:
    """End a proposal that no longer fits, unless it has ended."""
    await pool.execute(
        "update decision set state = 'void' where account_id = $1 and id = $2 and state = 'proposed'", row.account_id, row.id
    )
