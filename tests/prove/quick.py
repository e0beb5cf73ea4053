"""The gateway's times, made short enough for a fault world: contracts, leases, timeouts, pauses.

Changes numbers and nothing else: no rule, no table, no SQL. They stand to each other as in production, since safety rests on
that, and a world that breaks it would show doubles that no deployment can have:

    margin + longest pause + late effect + lie  <  visibility time  <  replay window  <  how long a provider keeps keys

`scale` makes a whole world faster or slower: everything in it is multiplied, so that the order stays.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from gateway import app, breaker, dispatcher, inbox, lifecycle, reconciler
from providers.base import Provider
from providers.registry import PROVIDERS
from providers.transport import Timeouts, Transport
from schemas.report import RefusalCause

LONGEST_PAUSE_S = 6.5  # SIGSTOP: longer than any lease here
LATE_EFFECT_S = 2.5  # a request that takes effect so long after it was sent, when its sender has given up
LIE_S = 4.0  # reads that do not know what the provider has taken
VISIBILITY_S = 14.5
REPLAY_WINDOW_S = 15.0
KEYS_KEPT_S = 27.0  # by the forgetful provider, counted from when it took the payout
BROWNOUT_S = 31.0  # longer than its memory

_SEND_S = 1.2
_READ_S = 1.5
_CONNECT_S = 0.8
_LEASE_MARGIN_S = 1.2

_ALL: dict[str, Any] = {
    "poll_after_s": (0.3, 0.8, 1.6, 3.0),
    "visibility_s": VISIBILITY_S,
    "review_after_s": 40.0,
    "pending_alarm_s": 8.0,
    "in_transit_alarm_s": 8.0,
    "return_window_s": 15.0,
}
# A Pivot submit is a token and a create, and both once more when the token was refused.
_OWN: dict[str, dict[str, Any]] = {
    "pivot": {"submit_timeout_s": 4 * _SEND_S, "batch_linger_s": 0.1},
    "xendit": {"submit_timeout_s": _SEND_S, "replay_window_s": REPLAY_WINDOW_S},
    # Nobody polls a person: only the alarm would call one, and the robot is quick.
    "manual": {"poll_after_s": (60.0,), "review_after_s": 600.0, "submit_timeout_s": 1.0},
}


def contracts(scale: float = 1.0) -> Mapping[str, Provider]:
    """The providers that stand in for each other here, with quick contracts."""
    return {
        name: replace(PROVIDERS[name], contract=replace(PROVIDERS[name].contract, rate_per_s=None, **scaled(_ALL | own, scale)))
        for name, own in _OWN.items()
    }


def scaled(times: Mapping[str, Any], scale: float) -> dict[str, Any]:
    """All times of a table, longer or shorter; lists of them too."""
    return {
        name: tuple(scale * each for each in value) if isinstance(value, tuple) else scale * value
        for name, value in times.items()
    }


# (module, name, value): what production keeps as constants of a module.
_CONSTANTS: tuple[tuple[Any, str, Any], ...] = (
    (dispatcher, "_LEASE_MARGIN_S", _LEASE_MARGIN_S),
    (dispatcher, "_PAUSE_S", 2.0),
    (reconciler, "_LEASE_S", 5.0),
    (inbox, "_LEASE_S", 5.0),
    (inbox, "_MAX_WAIT_S", 3.0),
    (lifecycle, "RESEND_AFTER_S", (0.2, 0.5, 1.0, 2.0, 3.0)),
    (breaker, "FIRST_PAUSE_S", 0.5),
    (breaker, "MAX_PAUSE_S", 3.0),
)


def hurry(scale: float = 1.0) -> None:
    """Make this process quick. Fails when a constant is gone, so that no run is slow or unsafe in silence."""
    for module, name, value in _CONSTANTS:
        if not hasattr(module, name):
            raise AttributeError(f"{module.__name__} has no {name} any more: tests/prove/quick.py must follow")
        setattr(module, name, scaled({name: value}, scale)[name])
    send = Timeouts(connect_s=scale * _CONNECT_S, answer_s=scale * _SEND_S, total_s=scale * _SEND_S)
    read = Timeouts(connect_s=scale * _CONNECT_S, answer_s=scale * _READ_S, total_s=scale * _READ_S)
    app.Transport = partial(Transport, send_timeouts=send, read_timeouts=read)
    lifecycle.RESENDABLE[RefusalCause.CONNECTION] = scale * 1.0
    lifecycle.RESENDABLE[RefusalCause.PACING] = scale * 0.5
