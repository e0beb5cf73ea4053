"""The balance's list of payouts: finding an attempt whose id we never learnt, and listing all there are for a comparison.

Mollie keeps no reference of ours and forgets keys after an hour (section 8), so the description carries our attempt id.
Descriptions may be left out of lists (section 5.1): a payout without one is read by itself before it is ruled out.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from providers.answers import moment_of
from providers.mollie.reading import Reader
from providers.paging import Page as ListPage
from providers.paging import gather
from providers.words import reference
from schemas.listing import Listing
from schemas.order import Lookup
from schemas.report import NotFound, Report, Unclear

MAX_PAGES = 10
MAX_SINGLE_READS = 20
# The list goes back this far before the attempt was (last) claimed: clocks differ, and an earlier send may have arrived.
MARGIN = timedelta(days=1)

TOO_MANY_UNNAMED = Unclear("too many payouts without a description to tell ours from others")
ABSENT = NotFound("no payout of this balance carries our attempt id")

END = ""
JUST_NOW = datetime.max.replace(tzinfo=UTC)

Page = dict[str, Any] | Unclear


@dataclass(frozen=True, slots=True)
class History:
    """The two reads that the search needs: a page of the list (from an id on), and one payout."""

    reader: Reader
    read_page: Callable[[str | None], Awaitable[Page]]
    read_payout: Callable[[str], Awaitable[Page]]

    async def find(self, lookup: Lookup) -> Report:
        """The payout with our attempt id; NotFound only when the list was read far enough back and does not hold it."""
        recent = await self._recent(lookup.sent_at - MARGIN)
        if isinstance(recent, Unclear):
            return recent
        unnamed = [listed for listed in recent if not isinstance(listed.get("description"), str)]
        if len(unnamed) > MAX_SINGLE_READS:
            return TOO_MANY_UNNAMED
        for listed in recent:
            payout = await self._whole(listed) if listed in unnamed else listed
            if isinstance(payout, Unclear):
                return payout
            if is_ours(payout, lookup):
                return self.reader.payout(payout)
        return ABSENT

    async def listed(self, since: datetime, until: datetime) -> Listing | Unclear:
        """All payouts of the balance between the two moments: those of the dashboard and of the schedule too (section 3)."""

        async def page_from(start: str | None) -> ListPage[str] | Unclear:
            return await self._page(start, since)

        return await gather(page_from, since, until, max_pages=MAX_PAGES, newest_first=True)

    async def _page(self, start: str | None, since: datetime) -> ListPage[str] | Unclear:
        page = await self.read_page(start)
        if isinstance(page, Unclear):
            return page
        payouts, following = _payouts(page), _next_start(page)
        if isinstance(payouts, Unclear):
            return payouts
        named, flaw = await self._named([payout for payout in payouts if not self.reader.is_elsewhere(payout)], since)
        rows = [row for payout in named if (row := self.reader.listed(payout)) is not None]
        if len(rows) < len(named):
            flaw = "a payout in the list has no readable id"
        if following is None:
            flaw = "the list of payouts goes on, and its next link cannot be read"
        return ListPage(rows, following or None, flaw=flaw)

    async def _named(self, payouts: list[dict[str, Any]], since: datetime) -> tuple[list[dict[str, Any]], str]:
        """The same with their descriptions, and why one is missing: it may be ours, and nobody could tell."""
        named: list[dict[str, Any]] = []
        flaw, reads = "", 0
        for payout in payouts:
            whole: Page = payout
            if not isinstance(payout.get("description"), str) and _made(payout) >= since:
                reads += 1
                whole = await self._whole(payout) if reads <= MAX_SINGLE_READS else TOO_MANY_UNNAMED
            if isinstance(whole, Unclear):
                flaw = whole.reason
            named.append(payout if isinstance(whole, Unclear) else whole)
        return named, flaw

    async def _recent(self, since: datetime) -> list[dict[str, Any]] | Unclear:
        """All payouts of the balance that were made after `since`; the list comes newest first."""
        recent: list[dict[str, Any]] = []
        start: str | None = None
        for _ in range(MAX_PAGES):
            page = await self.read_page(start)
            if isinstance(page, Unclear):
                return page
            payouts = _payouts(page)
            if isinstance(payouts, Unclear):
                return payouts
            newer = [payout for payout in payouts if _made(payout) >= since]
            recent += newer
            start = _next_start(page)
            if start == END or len(newer) < len(payouts):
                return recent
            if start is None:
                return Unclear("the list of payouts goes on, and its next link cannot be read")
        return Unclear("the list of payouts is too long to be read to its end")

    async def _whole(self, listed: dict[str, Any]) -> Page:
        provider_ref = reference(listed.get("id"))
        if provider_ref is None:
            return Unclear("a payout in the list has no readable id")
        payout = await self.read_payout(provider_ref)
        if not isinstance(payout, Unclear) and payout.get("id") != provider_ref:
            return Unclear("the answer names no payout, or another one")
        if not isinstance(payout, Unclear) and "description" not in payout:
            return Unclear("a payout has no description even by itself, so nobody can tell whose it is")
        return payout


def is_ours(payout: dict[str, Any], lookup: Lookup) -> bool:
    """Whether the description carries the attempt's id."""
    description = payout.get("description")
    return isinstance(description, str) and lookup.attempt_id in description


def _payouts(page: dict[str, Any]) -> list[dict[str, Any]] | Unclear:
    embedded = page.get("_embedded")
    payouts = embedded.get("payouts") if isinstance(embedded, dict) else None
    if not isinstance(payouts, list) or not all(isinstance(payout, dict) for payout in payouts):
        return Unclear("the list of payouts cannot be read")
    return payouts


def _made(payout: dict[str, Any]) -> datetime:
    """When it was made; a date that cannot be read counts as just now, so that the payout is looked at."""
    return moment_of(payout.get("createdAt")) or JUST_NOW


def _next_start(page: dict[str, Any]) -> str | None:
    """The id that the next page starts at, `END`, or None when the link cannot be read.

    Only the id is taken from the link: where we call is our own decision.
    """
    links = page.get("_links")
    following = links.get("next", "") if isinstance(links, dict) else ""
    if following is None:
        return END
    href = following.get("href") if isinstance(following, dict) else None
    try:
        starts = parse_qs(urlsplit(href).query).get("from", []) if isinstance(href, str) else []
    except ValueError:
        return None
    return reference(starts[0]) if starts else None
