"""Named points: places in the flow where a test can have this process killed, paused, or thrown out.

Off, a point is one look at an empty dictionary. `GATEWAY_POINTS="before_send:kill:3"` switches one on, for the third time that
this process gets there; several stand with commas between. That is refused outside demo mode: a gateway that pays must not be
able to harm itself on request. Decides nothing, and no code may depend on a point.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

# Name -> where it stands. Every one is passed by the flow of `tests/kill`, and stands at one place in the code.
POINTS: dict[str, str] = {
    "create_asked": "a create is understood and routed, and not written",
    "create_committed": "a payout is on disk, and its merchant has no answer yet",
    "claim_locked": "in the claim's transaction: payouts are locked, and nothing is written",
    "claim_written": "in the claim's transaction: attempts are written, and not committed",
    "claim_committed": "attempts and their keys are on disk, and nothing has been sent",
    "before_send": "orders are ready for the connector, and nothing has been sent",
    "leaving": "the connection to the provider stands, and the first byte of a send is next",
    "after_send": "the provider has answered, and nobody but this process knows it",
    "before_apply": "what a report changes is decided, and not written",
    "after_apply": "what a report changes is on disk, and what follows it has not been done",
    "failover_decided": "an attempt has ended and its payout is to go on elsewhere, and none of it is written",
    "failover_written": "a payout is queued at its next connection, and has no attempt there",
    "due_claimed": "open attempts are claimed for reading, and nothing has been asked",
    "before_resend_marked": "a send is to be repeated, and nothing says so on disk",
    "after_resend_marked": "a repetition is on disk, and has not been sent",
    "after_resend": "the provider has answered a repetition, and nobody but this process knows it",
    "notice_proven": "a notice is proven, and not stored",
    "notice_stored": "a notice is on disk, and its provider has no answer yet",
    "notices_claimed": "notices are claimed, and not read",
    "notices_read": "what notices say is applied, and they are not marked as read",
    "notices_settled": "notices are marked as read",
    "cancel_wanted": "a merchant wants a sent payout cancelled, and nothing says so on disk",
    "cancel_on_disk": "the wish to cancel is on disk, and its merchant has no answer yet",
    "before_cancel": "the provider is to be asked to cancel, and has not been",
    "after_cancel": "the provider was asked to cancel, and has not been read since",
}


class PointError(RuntimeError):
    """Raised at a point on purpose. Only ever in a test."""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _pause() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _raise() -> None:
    raise PointError("a test wanted an error here")


def _cancel() -> None:
    raise asyncio.CancelledError


ACTIONS: dict[str, Callable[[], None]] = {"kill": _kill, "pause": _pause, "raise": _raise, "cancel": _cancel}


@dataclass(slots=True)
class _Switch:
    action: Callable[[], None]
    at_hit: int
    hits: int = 0


_on: dict[str, _Switch] = {}


def point(name: str) -> None:
    """Here is the point of this name."""
    if _on:
        _reach(name)


def _reach(name: str) -> None:
    switch = _on.get(name)
    if switch is None:
        return
    switch.hits += 1
    if switch.hits == switch.at_hit:
        switch.action()


def switch_on(text: str) -> None:
    """Switch on what `text` names, instead of what was on: `name:action:hit`, with commas between. Raises `ValueError`."""
    switches: dict[str, _Switch] = {}
    for each in filter(None, (part.strip() for part in text.split(","))):
        name, action, hit = (*each.split(":"), "1", "1")[:3]
        if name not in POINTS or action not in ACTIONS or not hit.isdecimal() or hit == "0":
            raise ValueError(f"{each} is no point: write name:action:hit; actions are {', '.join(ACTIONS)}")
        switches[name] = _Switch(ACTIONS[action], int(hit))
    _on.clear()
    _on.update(switches)
