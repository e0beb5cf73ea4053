"""Reads a provider's list page by page into one `Listing`: bounded, each payout once, and open about what it did not see.

It knows no provider: what a page is, and where the next one begins, is told by `read_page`. It never takes a page that
could not be read for an empty one.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from schemas.listing import Listed, Listing
from schemas.report import Unclear

Cursor = TypeVar("Cursor")


@dataclass(frozen=True, slots=True)
class Page(Generic[Cursor]):
    """One page, as the provider's connector has read it."""

    rows: Sequence[Listed]
    following: Cursor | None  # where the next page begins; None: there is none
    total: int | None = None  # how many rows the whole list has, where the provider says so
    flaw: str = ""  # why something may be missing from `rows`; empty: nothing is


ReadPage = Callable[[Cursor | None], Awaitable[Page[Cursor] | Unclear]]


async def gather(
    read_page: ReadPage[Cursor], since: datetime, until: datetime, *, max_pages: int, newest_first: bool
) -> Listing | Unclear:
    """Everything between the two moments. With `newest_first`, reading ends at the first payout that is older than `since`.

    Without it the order means nothing, so all pages are read; and where the provider says how many rows there are, as many
    different ones must have been seen, since rows can move from an unread page to a read one meanwhile.
    """
    seen: dict[str, Listed] = {}
    flaws: list[str] = []
    cursor: Cursor | None = None
    for number in range(max_pages):
        page = await read_page(cursor)
        if isinstance(page, Unclear):
            return page if number == 0 else _listing(seen, since, until, [*flaws, f"page {number + 1}: {page.reason}"])
        seen |= {row.provider_ref: row for row in page.rows}  # of one that two pages show, the later reading
        if page.flaw:
            flaws.append(page.flaw)
        if newest_first and any(row.created_at is not None and row.created_at < since for row in page.rows):
            return _listing(seen, since, until, flaws)
        cursor = page.following
        if cursor is None:
            if page.total not in {None, len(seen)}:
                flaws.append(f"the list says that it has {page.total} rows, and {len(seen)} were seen")
            return _listing(seen, since, until, flaws)
    return _listing(seen, since, until, [*flaws, f"the list goes on after {max_pages} pages"])


def _listing(seen: dict[str, Listed], since: datetime, until: datetime, flaws: Sequence[str]) -> Listing:
    rows = tuple(row for row in seen.values() if row.created_at is None or since <= row.created_at <= until)
    return Listing(rows, complete=not flaws, reason="; ".join(flaws))
