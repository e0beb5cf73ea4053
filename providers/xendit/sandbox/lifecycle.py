"""The third layer of the Xendit sandbox: how a payout goes on, by itself with time or at once when it is told to.

The only place where a made payout changes and its money moves: the money first, then the record and the balance, then
the webhook. Never makes a payout and never answers a request of Xendit's API.
"""

from typing import Any, Literal

from providers.sandbox.base import ControlError, course_of
from providers.sandbox.clock import now_ms
from providers.sandbox.ledger import Money, last4
from providers.xendit.sandbox.facts import (
    ACCOUNT_LENGTHS,
    COURSES,
    FAILED_AFTER_MS,
    FAILURE_CODES,
    FINAL,
    GIVEN_BACK,
    MAGIC_ACCOUNTS,
    NO_FUNDS,
    REQUESTED_AFTER_MS,
    SANCTIONS,
    STATUSES,
    SUCCEEDED_AFTER_MS,
    Course,
)
from providers.xendit.sandbox.records import Payout
from providers.xendit.sandbox.webhooks import XenditWebhooks

REVIEW = "PENDING_COMPLIANCE_ASSESSMENT"


class XenditLifecycle(XenditWebhooks):
    """Abstract: `XenditSandbox` in `operations` is the whole."""

    # --- with time

    def _course(self, payout: Payout) -> Course:
        """What becomes of it: its scenario, else its data (section 10), else its balance."""
        number = payout.account["account_number"]
        named = COURSES[course_of(payout.scenario)] if payout.scenario else None
        screened = SANCTIONS.get((payout.account.get("account_holder_name") or "", number))
        course = named or screened or MAGIC_ACCOUNTS.get(number)
        if course is None and self.settings.check_account_lengths:
            least, most = ACCOUNT_LENGTHS.get(payout.channel, (1, 100))
            course = None if least <= len(number) <= most else Course("FAILED", "INVALID_DESTINATION")
        course = course or Course("SUCCEEDED")
        return Course("FAILED", NO_FUNDS) if course.end == "SUCCEEDED" and not payout.held else course

    def step(self, key: str) -> bool:
        payout = self.payouts.rows.get(key)
        if payout is None or not payout.due_ms:
            return False
        course = self._course(payout)
        following = _following(payout.status, course)
        self._turn(payout, following, course.failure if following == "FAILED" else "")
        return True

    def _due_after(self, payout: Payout, status: str, course: Course) -> int:
        """When the next step is due; 0 = never by itself."""
        settings, scenario = self.settings, payout.scenario
        if status == "ACCEPTED" and course.end != "ACCEPTED":
            return now_ms() + self.delay_ms(settings.requested_after_ms, REQUESTED_AFTER_MS, scenario)
        if status == REVIEW and course.end != REVIEW:
            return now_ms() + self.delay_ms(settings.compliance_after_ms, SUCCEEDED_AFTER_MS, scenario)
        if status == "REQUESTED" and course.end == "FAILED":
            return now_ms() + self.delay_ms(settings.failed_after_ms, FAILED_AFTER_MS, scenario)
        if status == "REQUESTED":
            return now_ms() + self.delay_ms(settings.succeeded_after_ms, SUCCEEDED_AFTER_MS, scenario)
        return now_ms() + self.returned_after_ms() if course.then and status == course.end else 0

    def _turn(self, payout: Payout, status: str, failure: str, *, hold: bool = False) -> None:
        """Move a payout: money first, then the record and the balance, then the webhook."""
        now = now_ms()
        before, effects = payout.status, payout.effects
        if (before == "SUCCEEDED") != (status == "SUCCEEDED"):
            effects += 1
            self.ledger.write([self._money(payout, "sent" if status == "SUCCEEDED" else "returned", effects)])
        held = status == "SUCCEEDED" or (payout.held and status not in GIVEN_BACK)
        change = payout.amount_minor * (payout.held - held)
        due_ms = 0 if hold else self._due_after(payout, status, self._course(payout))
        with self.journal.together():
            if change:
                balance_minor = self.merchants.rows[payout.merchant].balance_minor
                self.merchants.change(payout.merchant, balance_minor=balance_minor + change)
            self.payouts.change(
                payout.id, status=status, failure=failure, updated_ms=now, held=held, due_ms=due_ms, effects=effects
            )
            self._announce(payout, more=bool(due_ms))
        if due_ms:
            self.schedule.add(due_ms, self._due, payout.id)

    def _money(self, payout: Payout, kind: Literal["sent", "returned"], number: int) -> Money:
        return Money(
            effect=f"{payout.id}#{number}",
            kind=kind,
            merchant=payout.merchant,
            provider_ref=payout.id,
            our_ref=payout.reference,
            amount=payout.amount,
            currency=payout.currency,
            destination=f"{payout.channel} {last4(payout.account['account_number'])}",
            other_refs={"idempotencyKey": payout.key},
        )

    # --- when told to

    def advance(self, ref: str, to: str, reason: str | None, *, hold: bool) -> dict[str, Any]:
        """`ref`: payout id, reference_id or idempotency key. `reason` is the failure_code."""
        payout = self.payouts.rows.get(ref) or self._by_our_ref(ref)
        if to not in STATUSES:
            raise ControlError(f"Xendit knows no status {to}")
        if to == "FAILED" and (reason or "REJECTED_BY_CHANNEL") not in FAILURE_CODES:
            raise ControlError(f"Xendit knows no failure code {reason}")
        self._turn(payout, to, (reason or "REJECTED_BY_CHANNEL") if to == "FAILED" else "", hold=hold or to in FINAL)
        return {"id": payout.id, "status": payout.status, "failureCode": payout.failure or None}

    def _by_our_ref(self, ref: str) -> Payout:
        for payout in reversed(self.payouts.rows.values()):
            if ref in (payout.reference, payout.key):
                return payout
        raise ControlError("there is no payout with this id, reference_id or idempotency key")


def _following(status: str, course: Course) -> str:
    """The next status. A payout that was pushed past where its course keeps it goes on to be paid."""
    if status == course.end:
        return course.then
    if status == "ACCEPTED":
        return REVIEW if course.reviewed else "CANCELLED" if course.end == "CANCELLED" else "REQUESTED"
    if status == REVIEW:
        return "COMPLIANCE_REJECTED" if course.end == "COMPLIANCE_REJECTED" else "REQUESTED"
    return "FAILED" if course.end == "FAILED" else "SUCCEEDED"
