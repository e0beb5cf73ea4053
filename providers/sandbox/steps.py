"""One step of misbehaviour: its kind, its moment, its parameters, and the words that people write it in.

`KINDS` is the whole vocabulary, and the README's table is checked against it. Only describes: `faults` decides when a
step is taken, `spoil` and `webhooks` carry it out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ANSWER, MEMORY, WEBHOOK = "answer", "memory", "webhook"
WHENS = ("before", "after")
ECHOED = ("amount", "currency", "reference")
_AMOUNTS = frozenset({"ms", "s", "mb", "bytes", "status"})  # parameters that are a number of something
_ANY = frozenset({"*"})


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to go wrong. `value` names the parameter that a bare value sets: `slow 200` is {"ms": 200}."""

    touches: frozenset[str]
    tells: str
    params: frozenset[str] = frozenset()
    value: str = ""
    when: str = "before"
    fixed: bool = False  # `when` cannot be chosen


def _answer(tells: str, *params: str, when: str = "before", fixed: bool = False) -> Kind:
    return Kind(frozenset({ANSWER}), tells, frozenset(params), params[0] if params else "", when, fixed)


def _memory(tells: str, *params: str) -> Kind:
    return Kind(frozenset({MEMORY}), tells, frozenset(params), params[0])


def _webhook(tells: str, *params: str) -> Kind:
    return Kind(frozenset({WEBHOOK}), tells, frozenset(params), params[0] if params else "")


KINDS: dict[str, Kind] = {
    # What becomes of an answer. `before`: nothing has happened; `after`: it has, and only the answer is spoilt.
    "refuse": Kind(frozenset({ANSWER}), "the provider's own refusal of a create", _ANY, "code"),
    "drop": _answer("the connection is cut without an answer"),
    "hang": _answer("silence, then the connection is cut (default: a day)", "ms"),
    "half_body": _answer("the headers promise more than comes", "status"),
    "wrong_content_type": _answer("an HTML page", "status"),
    "status": _answer("this HTTP status, with the provider's own error body or with `body`", "status", "headers", "body"),
    "rate_limited": _answer("429, with Retry-After in `s` seconds as a number, a `date` or not at all (`form`)", "s", "form"),
    "slow": _answer("late by so many milliseconds, but right", "ms"),
    "drip": _answer("the answer comes `bytes` (1) at a time, every so many milliseconds", "ms", "bytes"),
    "gzip_bomb": _answer("a small gzip body that unpacks to so many megabytes", "mb", "status"),
    "oversized": _answer("a JSON body of so many megabytes", "mb", "status"),
    "redirect": _answer("a redirect to nowhere", "status", "location"),
    # What the provider does not remember.
    "not_found_for": _memory("reads do not know a payout that is younger than so many milliseconds", "ms"),
    "forget_key": _memory("an idempotency key is forgotten after so many milliseconds (0)", "ms"),
    # What becomes of a webhook.
    "never": _webhook("it is not sent"),
    "twice": _webhook("it is sent again, so many milliseconds later (0)", "ms"),
    "late": _webhook("it is sent so many milliseconds later (5000)", "ms"),
    "out_of_order": _webhook(
        "it waits until the payout's next one is out, if one is sure to come; with `ms` at most that long, in any case", "ms"
    ),
    "before_answer": _webhook("the payout runs to its end and its webhooks arrive before the create answers"),
    "forged": _webhook("it is sent once, with a wrong proof; with `extra` the real one follows", "extra"),
    "invented_status": _webhook("it carries a status word that no documentation knows"),
    # In both worlds.
    "wrong_echo": Kind(
        frozenset({ANSWER, WEBHOOK}),
        "it tells another amount, currency or reference than was asked for",
        frozenset({"field"}),
        "field",
        "after",
        fixed=True,
    ),
}


@dataclass(frozen=True, slots=True)
class Step:
    kind: str
    when: str = "before"
    params: dict[str, Any] = field(default_factory=dict)

    def touches(self, what: str) -> bool:
        return what in KINDS[self.kind].touches

    @property
    def outlives_request(self) -> bool:
        """Whether it has to be remembered for the payout that the request makes."""
        return not self.touches(ANSWER)


def step_of(kind: str, when: str | None = None, params: Mapping[str, Any] | None = None) -> Step:
    """A checked step. Raises ValueError for what makes no sense."""
    known = KINDS.get(kind)
    if known is None:
        raise ValueError(f"there is no fault {kind}; there are {', '.join(KINDS)}")
    if when is not None and (when not in WHENS or (known.fixed and when != known.when)):
        raise ValueError(f"{kind} cannot happen {when}")
    given = dict(params or {})
    unknown = [] if known.params == _ANY else sorted(set(given) - known.params)
    if unknown:
        raise ValueError(f"{kind} has no parameter {', '.join(unknown)}; it has {', '.join(sorted(known.params)) or 'none'}")
    for name in _AMOUNTS & set(given):
        value = given[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError(f"{name} of {kind} must be a number that is not negative")
    if given.get("field", "amount") not in ECHOED and kind == "wrong_echo":
        raise ValueError(f"field of wrong_echo must be one of {', '.join(ECHOED)}")
    if given.get("form", "seconds") not in ("seconds", "date", "none"):
        raise ValueError("form of rate_limited must be seconds, date or none")
    return Step(kind, when or known.when, given)


def steps_of(words: str) -> list[Step]:
    """Read steps as people write them: `slow 200, drop after`; `ok` is no step at all. Raises ValueError."""
    return [step for text in words.split(",") if (step := _read(text.split())) is not None]


def _read(words: list[str]) -> Step | None:
    if words in (["ok"], []):
        return None
    kind, *rest = words
    when: str | None = None
    params: dict[str, Any] = {}
    for word in rest:
        name, is_named, value = word.partition("=")
        if word in WHENS:
            when = word
        elif is_named:
            params[name] = _value(value)
        elif kind in KINDS and KINDS[kind].value:
            params[KINDS[kind].value] = _value(word)
        else:
            raise ValueError(f"{kind} takes no value such as {word}")
    return step_of(kind, when, params)


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
