"""What becomes of a row at Pivot's bank, and what a change of its status does to the money.

Works out the movement and the change of the balance, and marks the state it is given. Never writes to the money ledger
or to a table: `lifecycle` does that, the money first.
"""

from typing import Any, Literal

from providers.pivot.sandbox.facts import COURSES, FINAL_ROW_WORDS, MAGIC_ACCOUNTS, Course
from providers.pivot.sandbox.records import Payout
from providers.sandbox.base import course_of
from providers.sandbox.ledger import Money, last4


def course(payout: Payout, position: int) -> Course:
    """What becomes of a row: its scenario, else its account number (section 12)."""
    scenario = payout.states[position].get("scenario", "")
    if scenario:
        return COURSES[course_of(scenario)]
    account = payout.rows[position]["channelInformation"]["accountNumber"]
    return Course(*MAGIC_ACCOUNTS.get(account, ("SUCCESS", "")))


def outcome(payout: Payout, position: int) -> tuple[str, str]:
    found = course(payout, position)
    return found.word, found.reason


def returns(payout: Payout) -> dict[int, tuple[str, str]]:
    """The rows that come back after they were paid, and how Pivot tells it."""
    found = {position: course(payout, position) for position in range(len(payout.rows))}
    return {position: (row.then, row.then_reason) for position, row in found.items() if row.then}


def move(payout: Payout, position: int, state: dict[str, Any], word: str, movements: list[Money]) -> int:
    """The money side of a row's change of status: notes the movement, answers the change of the balance."""
    amount = int(payout.rows[position]["amount"]["value"])
    was_paid = state["status"] == "SUCCESS"
    if word == "SUCCESS":
        change = 0 if was_paid or state["held"] else -amount
        if not was_paid:
            movements.append(_money(payout, position, state, "sent"))
        state["held"] = False
        return change
    if was_paid and word in FINAL_ROW_WORDS:  # V-5
        movements.append(_money(payout, position, state, "returned"))
        return amount
    if state["held"] and word != "PENDING":
        state["held"] = False
        return amount
    return 0


def _money(payout: Payout, position: int, state: dict[str, Any], kind: Literal["sent", "returned"]) -> Money:
    row = payout.rows[position]
    state["effects"] += 1
    return Money(
        effect=f"{payout.uuid}/{position}#{state['effects']}",
        kind=kind,
        merchant=payout.merchant,
        provider_ref=payout.uuid,
        our_ref=row["referenceId"],
        amount=row["amount"]["value"],
        currency="IDR",
        destination=f"{row['channelCode']} {last4(row['channelInformation']['accountNumber'])}",
        other_refs={"requestId": payout.request_id} if len(payout.rows) == 1 else {},
    )
