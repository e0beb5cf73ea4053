"""Plexy's list of transactions (X-2), and what it proves about a payout whose id we never learnt (X-8): a match, or nothing.

The list shows payments beside payouts and says of no row which it is. Its order is not relied on, so it is read whole, and
a long one is never read to its end. Reads only; a payout that it does not show is never called absent.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from providers.answers import moment_of
from providers.paging import Page, gather
from providers.plexy.amounts import CURRENCY, from_number
from providers.plexy.reading import Reader, plain
from schemas import ids
from schemas.failure import FailureCode
from schemas.listing import Listed, Listing
from schemas.order import Lookup
from schemas.report import Progress, Report, Taken, Unclear

PER_PAGE = 50
MAX_PAGES = 20
# Where a payout of ours would stand among the others: clocks differ before, and a slow answer comes after.
BEFORE, AFTER = timedelta(minutes=5), timedelta(hours=1)
MAX_NAMED = 3  # candidates that a person is told
LATER = datetime.max.replace(tzinfo=UTC)
_FAILED = frozenset({Progress.FAILED, Progress.FAILED_UNPROVEN})


@dataclass(frozen=True, slots=True)
class Transactions:
    """The two reads that the search needs: a page of the list, and one payout by its id."""

    reader: Reader
    read_page: Callable[[int, int], Awaitable[dict[str, Any] | Unclear]]
    read_payout: Callable[[str], Awaitable[Report]]

    async def listed(self, since: datetime, until: datetime) -> Listing | Unclear:
        """All rows between the two moments, payments too: nothing in a row tells them from payouts."""
        return await gather(self._page, since, until, max_pages=MAX_PAGES, newest_first=False)

    async def find(self, lookups: Sequence[Lookup]) -> dict[str, Report]:
        """One report per attempt id, from one reading of the list for all of them."""
        if not lookups:
            return {}
        listing = await self.listed(min(lookup.sent_at for lookup in lookups) - BEFORE, LATER)
        if isinstance(listing, Unclear):
            return {lookup.attempt_id: listing for lookup in lookups}
        return {lookup.attempt_id: await self._find(lookup, listing) for lookup in lookups}

    async def _find(self, lookup: Lookup, listing: Listing) -> Report:
        match [row for row in listing.rows if row.attempt_id == lookup.attempt_id]:
            case [row]:
                report = await self.read_payout(row.provider_ref)  # says more than a row, such as why it failed
                return report if isinstance(report, Taken) else _as_listed(row)
            case []:
                return Unclear(_not_told_apart(lookup, listing))
            case _:  # nothing removes doubles at Plexy
                return Unclear("more than one transaction carries our reference; a person must look")

    async def _page(self, number: int | None) -> Page[int] | Unclear:
        number = number or 1
        body = await self.read_page(number, PER_PAGE)
        if isinstance(body, Unclear):
            return body
        rows, total, size = body.get("data"), _count(body.get("total")), _count(body.get("size"))
        if not isinstance(rows, list) or total is None:
            return Unclear("the list of transactions cannot be read")
        listed = [self._listed(row) for row in rows]
        known = [row for row in listed if row is not None]
        goes_on = bool(rows) and number * (size or PER_PAGE) < total  # they may give fewer on a page than was asked for
        flaw = "" if len(known) == len(listed) else "a transaction in the list has no readable id"
        return Page(known, number + 1 if goes_on else None, total, flaw)

    def _listed(self, row: Any) -> Listed | None:
        provider_ref = self.reader.id_of(row) if isinstance(row, dict) else None
        if provider_ref is None:
            return None
        amount_minor = from_number(plain(row.get("amount")), self.reader.settings.list_amount_scale)
        progress, words = self.reader.listed_status(row)
        # The list calls our reference otherwise than the single read (sheet section 3); either may be missing.
        ours = plain(row.get("orderReference")) or plain(row.get("merchantReference"))
        return Listed(
            provider_ref,
            key=None,
            amount_minor=amount_minor,
            currency=None if amount_minor is None else CURRENCY,
            progress=progress,
            words=words,
            created_at=moment_of(plain(row.get("createdAt"))),
            attempt_id=ours if isinstance(ours, str) and ids.is_id(ours, ids.ATTEMPT) else None,
        )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _as_listed(row: Listed) -> Report:
    """What the row itself says, where the single read said less; its id stays with us in any case."""
    if row.progress is None:
        return Unclear("the list shows it with a status that we do not know", row.words, provider_ref=row.provider_ref)
    return Taken(
        row.progress,
        provider_ref=row.provider_ref,
        words=row.words,
        failure_code=FailureCode.UNEXPLAINED if row.progress in _FAILED else None,
        amount_minor=row.amount_minor,
        currency=row.currency,
    )


def _not_told_apart(lookup: Lookup, listing: Listing) -> str:
    """Amount and time prove nothing, but they spare a person the search."""
    alike = [
        row.provider_ref
        for row in listing.rows
        if row.attempt_id is None
        and row.amount_minor == lookup.amount_minor
        and (row.created_at is None or lookup.sent_at - BEFORE <= row.created_at <= lookup.sent_at + AFTER)
    ]
    seen = "" if listing.complete else f", and it was not read to its end ({listing.reason})"
    if not alike:
        return f"no transaction in Plexy's list carries our reference, which proves nothing{seen}"
    named = ", ".join(alike[:MAX_NAMED]) + (", ..." if len(alike) > MAX_NAMED else "")
    return f"its list has {len(alike)} with this amount at about that time ({named}), which proves nothing: a person must look"
