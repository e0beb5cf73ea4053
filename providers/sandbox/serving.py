"""How one request passes through a sandbox: counted, limited, spoilt if somebody asked for it, handled.

Here faults, scripts, headers and scenarios come together. Knows no provider's words, and never decides whether money
moves: a step `before` keeps the handler from running, a step `after` changes only what the client sees.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from providers.sandbox.answering import Refused, Route, reply
from providers.sandbox.echo import misquoted_answer
from providers.sandbox.orders import FAULT_HEADER, STEPS, Orders, Spoilt, text_of
from providers.sandbox.rate_limit import RateLimits, Standing
from providers.sandbox.request_log import Entry, RequestLog
from providers.sandbox.spoil import CUTS_CONNECTION, SPOILERS, retry_after
from providers.sandbox.steps import ANSWER, Step, steps_of

_GOES_ON = frozenset({"slow", "wrong_echo"})  # the answer is still an answer: the next step may follow


class Serving(Orders):
    """The half of a sandbox that stands at the door."""

    limits: RateLimits
    requests: RequestLog

    # --- what the whole sandbox adds

    @abstractmethod
    def error_answer(self, status: int) -> web.Response:
        """The provider's own error body for an HTTP status."""

    @abstractmethod
    def refusal_answer(self, params: dict[str, Any]) -> web.Response:
        """The provider's own refusal of a create, shaped by the step's parameters."""

    @abstractmethod
    def rate_rule(self, request: web.Request) -> tuple[int | None, int, str]:
        """How many requests in how many milliseconds (None = any number), and the form of Retry-After."""

    def finished(self, request: web.Request) -> None:
        """The answer is out, or can no longer get out."""
        del request  # for a provider that keeps something for the length of a request

    def rate_headers(self, standing: Standing) -> Mapping[str, str]:
        """What the provider says about the limit in its answers."""
        del standing
        return {}

    # --- one request

    async def serve(self, route: Route, request: web.Request) -> web.StreamResponse:
        operation = route.operation_of(request) if route.operation_of else route.operation
        key = request.headers.get(self.idempotency_header) if self.idempotency_header else None
        requests = self.requests  # a reset may replace it
        entry = requests.arrived(request.method, request.path_qs, operation, key)
        answer: web.StreamResponse | None = None
        try:
            answer = await self._limited(route, operation, request, entry)
            return answer
        finally:
            self.finished(request)
            requests.answered(entry, None if answer is None or entry.fault in CUTS_CONNECTION else answer.status)

    async def _limited(self, route: Route, operation: str, request: web.Request, entry: Entry) -> web.StreamResponse:
        limit, window_ms, form = self.rate_rule(request)
        if limit is None:
            return await self._ordered(route, operation, request, entry)
        standing = self.limits.count(self.caller_key(request), operation, limit, window_ms)
        answer: web.StreamResponse
        if standing.is_over:
            answer = self.error_answer(429)
            answer.headers.update(retry_after(form, standing.reset_ms / 1000))
        else:
            answer = await self._ordered(route, operation, request, entry)
        if not answer.prepared:
            answer.headers.update(self.rate_headers(standing))
        return answer

    async def _ordered(self, route: Route, operation: str, request: web.Request, entry: Entry) -> web.StreamResponse:
        if not self.faults.any and FAULT_HEADER not in request.headers:
            return await self._handled(route, operation, request, entry, "")
        text = await text_of(request)
        try:
            steps = steps_of(request.headers.get(FAULT_HEADER, ""))
        except ValueError as error:
            return reply({"error": str(error)}, 400)
        request[STEPS] = [*steps, *self.faults.on_arrival(operation, text)]
        standing = self.faults.for_request(operation, "before", text)
        for step in _at(request, "before", standing):
            entry.fault = step.kind
            spoilt = await self._spoil(step, request, None)
            if spoilt is not None:
                return spoilt
        return await self._handled(route, operation, request, entry, text)

    async def _handled(self, route: Route, operation: str, request: web.Request, entry: Entry, text: str) -> web.StreamResponse:
        try:
            answer = await route.handler(request)
        except Refused as refused:
            answer = refused.answer
        except Spoilt as spoilt:
            entry.fault = spoilt.step.kind
            return await self._spoil(spoilt.step, request, None) or self.error_answer(503)
        standing = self.faults.for_request(operation, "after", text) if self.faults.any else None
        for step in _at(request, "after", standing):
            entry.fault = step.kind
            changed = await self._spoil(step, request, answer)
            if changed is not None and step.kind not in _GOES_ON:
                return changed
            if isinstance(changed, web.Response):
                answer = changed
        return answer

    async def _spoil(self, step: Step, request: web.Request, answer: web.Response | None) -> web.StreamResponse | None:
        own = _OWN_ANSWERS.get(step.kind)
        if own is not None:
            return own(self, step.params, answer)
        if step.kind == "status" and "body" not in step.params:
            spoilt = self.error_answer(int(step.params.get("status", 500)))
            spoilt.headers.update(step.params.get("headers", {}))
            return spoilt
        if step.kind == "drip" and answer is None:
            answer = self.error_answer(503)  # nothing has happened, and nothing else may be told
        return await SPOILERS[step.kind](request, answer, step.params)


def _at(request: web.Request, when: str, standing: Step | None) -> list[Step]:
    own = [step for step in request.get(STEPS, []) if step.when == when and step.touches(ANSWER)]
    return own if standing is None else [*own, standing]


_OwnAnswer = Callable[[Serving, dict[str, Any], web.Response | None], web.Response | None]


def _limited_answer(sandbox: Serving, params: dict[str, Any], _answer: web.Response | None) -> web.Response:
    limited = sandbox.error_answer(429)
    limited.headers.update(retry_after(params.get("form", "seconds"), params.get("s", 1)))
    return limited


def _wrong_echo(sandbox: Serving, params: dict[str, Any], answer: web.Response | None) -> web.Response | None:
    return misquoted_answer(answer, sandbox.echo_names, params.get("field", "amount")) if answer is not None else None


# The answers that only the provider itself can word.
_OWN_ANSWERS: dict[str, _OwnAnswer] = {
    "refuse": lambda sandbox, params, _answer: sandbox.refusal_answer(params),
    "rate_limited": _limited_answer,
    "wrong_echo": _wrong_echo,
}
