"""The gateway's times, made so short that a lease can run out while a test waits. Numbers only: no rule, no SQL, no word.

They stand to each other as in production, or a test would show doubles that no deployment can have:

    first byte within the margin + time to answer  <  visibility time  <  replay window
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from gateway import app, breaker, dispatcher, inbox, lifecycle, loops, reconciler
from providers.base import Provider
from providers.registry import PROVIDERS
from providers.transport import Timeouts, Transport

ANSWER_WITHIN_S = 0.8
MARGIN_S = 0.5
REPLAY_WINDOW_S = 3.0
LONGEST_LEASE_S = MARGIN_S + 2 * ANSWER_WITHIN_S  # Pivot's: a token and a create

_CONSTANTS: tuple[tuple[Any, str, Any], ...] = (
    (dispatcher, "_LEASE_MARGIN_S", MARGIN_S),
    (dispatcher, "_PAUSE_S", 0.3),
    (reconciler, "_LEASE_S", 1.0),
    (inbox, "_LEASE_S", 1.0),
    (inbox, "_MAX_WAIT_S", 0.5),
    (lifecycle, "RESEND_AFTER_S", (0.1, 0.2, 0.3)),
    (loops, "_PAUSE_AFTER_ERROR_S", 0.1),
    # Lost answers come by the dozen here: a circuit that stays open would only make the tests slow.
    (breaker, "FIRST_PAUSE_S", 0.05),
    (breaker, "MAX_PAUSE_S", 0.05),
)


def contracts(answer_within_s: float = ANSWER_WITHIN_S) -> Mapping[str, Provider]:
    """All providers, with quick contracts."""
    every: dict[str, Any] = {
        "poll_after_s": (0.05, 0.1, 0.2, 0.3),
        "visibility_s": 1.8,
        "review_after_s": 12.0,
        "submit_timeout_s": answer_within_s,
        "rate_per_s": None,
    }
    own: dict[str, dict[str, Any]] = {
        "pivot": {"submit_timeout_s": 2 * answer_within_s, "batch_linger_s": 0.05},
        "xendit": {"replay_window_s": REPLAY_WINDOW_S},
        "plexy": {"review_after_s": 2.0},  # nothing but a person can tell after a crash
    }
    return {
        name: replace(provider, contract=replace(provider.contract, **{**every, **own.get(name, {})}))
        for name, provider in PROVIDERS.items()
    }


def hurry(answer_within_s: float = ANSWER_WITHIN_S) -> None:
    """Make this process quick. Fails when a constant is gone, so that no test is slow or unsafe in silence."""
    timeouts = Timeouts(connect_s=answer_within_s, answer_s=answer_within_s, total_s=answer_within_s)
    transport = (app, "Transport", partial(Transport, send_timeouts=timeouts, read_timeouts=timeouts))
    for module, name, value in (*_CONSTANTS, transport):
        if not hasattr(module, name):
            raise AttributeError(f"{module.__name__} has no {name} any more: tests/kill/quick.py must follow")
        setattr(module, name, value)
