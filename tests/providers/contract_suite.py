"""What every connector must do, whatever it is called. A provider's test class inherits this and fills in its shapes.

`ConnectorContract` holds for all; `NetworkContract` for those that speak to somebody. A provider may add, never skip.
"""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from providers.base import Connector, Provider, ProviderModel, UnreadableNoticeError
from providers.registry import PROVIDERS
from providers.transport import Timeouts, Transport
from providers.words import Table, translate
from schemas.checks import Verdict
from schemas.contract import CancelRule, Proof
from schemas.destination import BankAccount
from schemas.failure import FailureCode
from schemas.listing import Listing
from schemas.money import CURRENCY_EXPONENT
from schemas.notice import Fact
from schemas.order import CardToken, Lookup, Order, OwnBalance
from schemas.report import NotFound, NotSent, Progress, RefusalCause, Refused, Taken, Unclear
from tests.ports import free_port
from tests.providers import scripted
from tests.providers.conftest import Heard
from tests.providers.scripted import Answering, Reply, Scripted

SUBMISSION_KEY = "0123456789abcdef0123456789abcdef"
SENT_AT = datetime(2026, 1, 1, 9, 0, 0, tzinfo=UTC)
EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))

ACCOUNT_NUMBER = "888801000157508"
HOLDER = "Siti Rahmawati"
CARD_TOKEN = "00000000-0000-4000-8000-00000000c0de"
BANK = BankAccount(
    bank_code="BCA", bank_name="Bank Central Asia", bank_account_number=ACCOUNT_NUMBER, bank_account_holder=HOLDER
)


def headers_of(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


def lookup_of(order: Order, **changes: Any) -> Lookup:
    lookup = Lookup(order.attempt_id, order.key, order.amount_minor, order.currency, sent_at=SENT_AT)
    return replace(lookup, **changes)


class ConnectorContract:
    """Holds for every connector."""

    provider: ClassVar[Provider]
    secret_texts: ClassVar[tuple[str, ...]] = ()  # never shown anywhere
    tables: ClassVar[Sequence[Table[Any]]] = ()

    def settings(self, base_url: str) -> ProviderModel:
        raise NotImplementedError

    def secrets(self) -> ProviderModel:
        raise NotImplementedError

    def secrets_without_notice_secret(self) -> ProviderModel:
        raise NotImplementedError

    def order(self, number: int = 1, **changes: Any) -> Order:
        raise NotImplementedError

    def good_notice(self) -> tuple[CIMultiDictProxy[str], bytes] | None:
        """A genuine notice; None when the contract says that there are none."""
        raise NotImplementedError

    def connector(
        self, transport: Transport, base_url: str = "http://127.0.0.1:1", secrets: ProviderModel | None = None
    ) -> Connector:
        return self.provider.connect(self.settings(base_url), secrets or self.secrets(), transport)

    # --- the contract itself

    def test_is_in_the_registry(self) -> None:
        name = self.provider.contract.provider
        assert PROVIDERS.get(name) is self.provider, f'providers/registry.py: import {name} and add "{name}": {name}.PROVIDER'

    def test_contract_is_consistent(self) -> None:
        contract = self.provider.contract
        place = f"providers/{contract.provider}/contract.py"
        assert contract.destinations, f"{place}: `destinations` is empty; say what the provider can pay to"
        assert contract.amounts, f"{place}: `amounts` is empty; say which currencies it pays, in which steps and limits"
        assert set(contract.amounts) <= set(CURRENCY_EXPONENT)
        assert all(rule.min_minor % rule.step_minor == 0 for rule in contract.amounts.values())
        assert contract.submit_timeout_s >= Timeouts().total_s
        assert contract.submit_timeout_s > Timeouts().connect_s
        assert contract.batch_size >= 1
        assert not contract.find_by_key or contract.visibility_s > 0, (
            f"{place}: a new payout may not show at once; say in `visibility_s` until when 'not found' proves nothing"
        )
        assert contract.return_window_s > 0, (
            f"{place}: `return_window_s` is 0, but banks send money back; take days where the provider says nothing"
        )
        if contract.descriptor_pattern is not None:
            re.compile(contract.descriptor_pattern)
        assert set(contract.bank_codes) <= set(contract.amounts), f"{place}: `bank_codes` of a currency that it does not pay"
        for known in contract.bank_codes.values():
            assert known.listed or known.pattern, f"{place}: `bank_codes` that no bank has; leave the currency out to take any"
            re.compile(known.pattern or "")

    # --- reports

    async def test_one_report_per_order_in_order(self, server: Scripted, transport: Transport) -> None:
        self.script_accept(server)
        count = min(self.provider.contract.batch_size, 3)
        orders = [self.order(number + 1) for number in range(count)]
        reports = await self.connector(transport, server.base_url).submit(SUBMISSION_KEY, orders)
        assert [type(report) for report in reports] == [Taken] * count
        assert all(isinstance(report, Taken) and report.progress is Progress.PENDING for report in reports)

    async def test_no_lookups_no_reports(self, transport: Transport) -> None:
        assert await self.connector(transport).find([]) == []

    async def test_cancel_never_closes_anything_by_failing(self, transport: Transport) -> None:
        """A cancel that went wrong must not read as "not sent" or "refused": the payout is still out there."""
        report = await self.connector(transport).cancel(lookup_of(self.order(), provider_ref="ref_1"))
        if self.provider.contract.cancel is CancelRule.NEVER:
            assert isinstance(report, Unclear)
        assert isinstance(report, Taken | Unclear)

    async def test_saves_cards_only_where_the_contract_says_so(self, transport: Transport) -> None:
        if not self.provider.contract.saves_cards:
            assert isinstance(await self.connector(transport).save_card("card_1", {"a": "b"}), NotSent)

    async def test_checks_destinations_only_where_the_contract_says_so(self, transport: Transport) -> None:
        check = await self.connector(transport).check_destination(BANK)
        assert (check.verdict is Verdict.NOT_OFFERED) == (not self.provider.contract.checks_destination)
        assert check.reason, "why there is no answer"
        assert check.verdict in {Verdict.NOT_OFFERED, Verdict.UNKNOWN}, "nobody was there to ask"

    async def test_shows_balances_only_where_the_contract_says_so(self, transport: Transport) -> None:
        shown = await self.connector(transport).balance()
        assert isinstance(shown, Unclear), "nobody was there to ask"
        assert shown.reason.startswith("not offered") == (not self.provider.contract.reads_balance)

    async def test_lists_channels_and_payouts_only_where_the_contract_says_so(self, transport: Transport) -> None:
        contract, connector = self.provider.contract, self.connector(transport)
        channels, listing = await connector.channels(), await connector.listed(*EVER)
        for offered, shown in ((contract.lists_channels, channels), (contract.lists_payouts, listing)):
            assert isinstance(shown, Unclear), "nobody was there to ask"
            assert shown.reason.startswith("not offered") == (not offered)

    def script_accept(self, server: Scripted) -> None:
        """Nothing to script where nobody is called."""

    # --- tables

    def test_every_word_of_every_table_translates(self) -> None:
        unknown: list[Any] = []
        for table in self.tables:
            assert table.provider == self.provider.contract.provider
            place = f"providers/{table.provider}/tables.py"
            assert table.meanings, f"{place}: the table '{table.name}' is empty; put in the documented words and what they mean"
            for word, meaning in table.meanings.items():
                assert translate(table, word, lambda *heard: unknown.append(heard)) is meaning
        assert unknown == []

    @pytest.mark.parametrize("word", ["no-such-word", "", None, 7, True, ["settled"], {"Value": "settled"}])
    def test_an_invented_word_is_unclear_and_counted(self, word: Any) -> None:
        unknown: list[Any] = []
        for table in self.tables:
            meaning = translate(table, word, lambda *heard: unknown.append(heard))
            assert isinstance(meaning, Unclear)
        assert [(provider, name) for provider, name, _ in unknown] == [(table.provider, table.name) for table in self.tables]

    # --- notices

    def test_a_good_notice_is_believed(self, transport: Transport) -> None:
        notice = self.good_notice()
        assert (notice is None) == (self.provider.contract.proof is Proof.NONE)
        if notice is None:
            return
        connector = self.connector(transport)
        assert connector.verify_notice(*notice)
        assert connector.read_notice(notice[1])

    def test_a_bad_notice_is_not(self, transport: Transport) -> None:
        notice = self.good_notice()
        headers, body = notice or (headers_of(("Authorization", "Bearer x")), b"{}")
        connector = self.connector(transport)
        assert not connector.verify_notice(headers_of(), body)
        for name, value in headers.items():
            for forged in (value[:-1], value + "0", value.swapcase(), "", "Bearer ", "sha256=", "\udcff", "ü", "0" * 9000):
                others = [pair for pair in headers.items() if pair[0] != name]
                assert not connector.verify_notice(headers_of(*others, (name, forged)), body), (name, forged)

    def test_an_empty_secret_verifies_nothing(self, transport: Transport) -> None:
        notice = self.good_notice()
        if notice is None:
            return
        headers, body = notice
        connector = self.connector(transport, secrets=self.secrets_without_notice_secret())
        assert not connector.verify_notice(headers, body)
        for name in headers:
            for value in ("", "Bearer ", "Bearer", "sha256=", " "):
                assert not connector.verify_notice(headers_of((name, value)), body)

    def test_a_notice_among_a_thousand_headers(self, transport: Transport) -> None:
        """The genuine value counts wherever it stands: a proxy or a secret's replacement may put others beside it."""
        notice = self.good_notice()
        if notice is None:
            return
        headers, body = notice
        many = [(name, "x") for name in headers for _ in range(1000)]
        connector = self.connector(transport)
        assert connector.verify_notice(headers_of(*many, *headers.items()), body)
        assert not connector.verify_notice(headers_of(*many), body)

    def read_anything(self, body: bytes) -> list[Fact] | None:
        try:
            return self.connector(Transport()).read_notice(body)
        except UnreadableNoticeError:
            return None

    def test_unreadable_notices_raise_their_own_error_only(self) -> None:
        deep = b'{"data":' * 5000 + b"1" + b"}" * 5000
        for body in (b"", b"null", b"[]", b"{}", b'{"data":null}', b"\xff", b"{", deep, b'{"a":NaN}', b'"\\ud800"'):
            assert not self.read_anything(body)

    _JSON = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=6),
        max_leaves=12,
    )

    @given_settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(body=st.binary(max_size=200), value=_JSON, data=st.data())
    def test_no_notice_raises_a_foreign_exception(self, body: bytes, value: Any, data: st.DataObject) -> None:
        self.read_anything(body)
        notice = self.good_notice()
        if notice is None:
            return
        self.read_anything(_spoiled(notice[1], value, data))
        text = data.draw(st.text(max_size=40))
        connector = self.connector(Transport())
        for name in notice[0]:
            assert not connector.verify_notice(headers_of((name, text)), body)

    # --- secrets

    def test_nothing_secret_in_a_repr(self, transport: Transport) -> None:
        connector = self.connector(transport)
        shown = " ".join(
            [repr(connector), str(connector), repr(self.secrets()), str(self.secrets()), self.secrets().model_dump_json()]
        )
        assert self.leaks(shown) == []

    def leaks(self, shown: str) -> list[str]:
        return [text for text in self.secret_texts if text in shown]

    def test_secrets_with_surprises_are_refused_without_being_shown(self) -> None:
        for name in self.provider.secrets.model_fields:
            with pytest.raises(ValueError, match="validation error") as caught:
                self.provider.secrets.model_validate({name: 12345678, "surprise": "canary-value"})
            assert "canary-value" not in str(caught.value)
            assert "12345678" not in str(caught.value)


def _spoiled(body: bytes, value: Any, data: st.DataObject) -> bytes:
    """The genuine body with one of its parts replaced."""
    whole = json.loads(body)
    part = whole
    while True:
        keys = list(part) if isinstance(part, dict) else list(range(len(part)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(part[key], dict | list) or not part[key] or data.draw(st.booleans()):
            part[key] = value
            return json.dumps(whole).encode()
        part = part[key]


class NetworkContract(ConnectorContract):
    """Holds for every connector that calls somebody."""

    create_path: ClassVar[str]  # regular expressions of path and query
    credentials_tried: ClassVar[int] = 1  # how often a create is sent when the credentials are refused
    status_words: ClassVar[dict[str, Progress]]
    refusals: ClassVar[dict[str, tuple[Reply, FailureCode, RefusalCause]]]
    inexpressible: ClassVar[dict[str, Any]]  # what makes an order impossible to write

    def prepare(self, server: Scripted) -> None:
        """Script what is needed before any call, such as a token."""

    def accepting(self, **wrong: Any) -> Answering:
        """An acceptance that echoes the request, but for what is `wrong`: amount_minor, currency, reference, status."""
        raise NotImplementedError

    def known(self) -> Lookup:
        """A lookup of an attempt that the provider acknowledged."""
        raise NotImplementedError

    def found(self, word: Any, **wrong: Any) -> Answering:
        """The read of `known()` with that status word."""
        raise NotImplementedError

    def script_accept(self, server: Scripted) -> None:
        self.prepare(server)
        server.on("POST", self.create_path, self.accepting())

    async def submit(
        self, server: Scripted, transport: Transport, answer: Answering, orders: Sequence[Order] = ()
    ) -> list[Any]:
        self.prepare(server)
        server.on("POST", self.create_path, answer)
        connector = self.connector(transport, server.base_url)
        return await connector.submit(SUBMISSION_KEY, list(orders) or [self.order()])

    async def find(self, server: Scripted, transport: Transport, answer: Answering, lookup: Lookup | None = None) -> Any:
        self.prepare(server)
        server.on("GET", ".*", answer)
        (report,) = await self.connector(transport, server.base_url).find([lookup or self.known()])
        return report

    # --- nothing left

    async def test_connection_refused_is_not_sent(self, transport: Transport) -> None:
        connector = self.connector(transport, f"http://127.0.0.1:{free_port()}")
        assert [type(report) for report in await connector.submit(SUBMISSION_KEY, [self.order()])] == [NotSent]

    async def test_unknown_host_is_not_sent(self, transport: Transport) -> None:
        connector = self.connector(transport, "https://provider.invalid")
        assert [type(report) for report in await connector.submit(SUBMISSION_KEY, [self.order()])] == [NotSent]

    # --- nobody knows

    UNREADABLE: ClassVar[dict[str, Answering]] = {
        "drop": scripted.dropped_answer,
        "hang": scripted.hanging_answer,
        "half": scripted.half_answer,
        "drip": scripted.dripping_answer,
        "oversized": scripted.oversized_answer,
        "bomb": scripted.bomb_answer,
        "html": Reply(200, b"<html>", {"Content-Type": "text/html"}),
        "html-502": Reply(502, b"<html>", {"Content-Type": "text/html"}),
        "html-400": Reply(400, b"<html>", {"Content-Type": "text/html"}),
        "empty": Reply(200, b""),
        "no-content": Reply(204, b"", {}),
        "empty-500": Reply(500, b""),
        "wrong-type": Reply(200, b'{"id": "a"}', {"Content-Type": "text/plain"}),
        "array": Reply(200, b"[]"),
        "null": Reply(200, b"null"),
        "nothing-in-it": Reply(200, {}),
        "cut-json": Reply(200, b'{"id": "a'),
        "duplicate-keys": Reply(200, b'{"id": "a", "id": "b"}'),
        "nan": Reply(200, b'{"id": "a", "amount": NaN}'),
        "deep": Reply(200, b'{"a":' * 100 + b"1" + b"}" * 100),
        "utf-16": Reply(200, '{"id": "a"}'.encode("utf-16")),
        "huge-number": Reply(200, b'{"id": "a", "amount": ' + b"9" * 5000 + b"}"),
        "error-in-200": Reply(200, {"error": "nobody", "status": "error"}),
        **{
            f"http-{status}": Reply(status, {"message": "?"}, {"Content-Type": "application/json", "Location": "/elsewhere"})
            for status in (301, 302, 303, 307, 308, 408, 409, 425, 500, 502, 503, 504, 520)
        },
    }

    @pytest.mark.parametrize("fault", scripted.faults(UNREADABLE))
    async def test_after_the_request_arrived_it_is_unclear(self, fault: str, server: Scripted, transport: Transport) -> None:
        (report,) = await self.submit(server, transport, self.UNREADABLE[fault])
        assert isinstance(report, Unclear), report
        assert len(server.calls("POST", self.create_path)) == 1
        assert server.calls("GET", ".*") == []
        assert server.calls("POST", "/elsewhere") == []

    @pytest.mark.parametrize("fault", scripted.faults(UNREADABLE, "http-400", "http-401", "http-403", "http-404", "http-429"))
    async def test_a_failed_read_says_nothing_about_the_payout(
        self, fault: str, server: Scripted, transport: Transport
    ) -> None:
        """Never `NotSent`, `Refused` or `NotFound`: each of them could let the money go out twice."""
        answer = self.UNREADABLE.get(fault) or Reply(int(fault.removeprefix("http-")), {"message": "?"})
        self.prepare(server)
        server.on("GET", ".*", answer)
        lookups = [self.known(), lookup_of(self.order(2))]
        reports = await self.connector(transport, server.base_url).find(lookups)
        assert [type(report) for report in reports] == [Unclear, Unclear], reports

    async def test_a_read_that_cannot_connect_says_nothing(self, transport: Transport) -> None:
        connector = self.connector(transport, f"http://127.0.0.1:{free_port()}")
        reports = await connector.find([self.known(), lookup_of(self.order(2))])
        assert [type(report) for report in reports] == [Unclear, Unclear]

    async def test_cancelled_while_the_request_is_out(self, server: Scripted, transport: Transport, heard: Heard) -> None:
        task = asyncio.create_task(self.submit(server, transport, scripted.hanging_answer))
        arrival = asyncio.create_task(server.until("POST", self.create_path))
        await asyncio.wait({task, arrival}, return_when=asyncio.FIRST_COMPLETED)
        arrival.cancel()
        assert not task.done(), task.exception()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert heard.calls[-1][2] == "cancelled"

    # --- refused

    async def test_documented_refusals(self, server: Scripted, transport: Transport) -> None:
        assert self.refusals, "`refusals` of this test is empty; put in each refusal that the provider's tables.py knows"
        for name, (reply, failure_code, cause) in self.refusals.items():
            server.seen.clear()
            (report,) = await self.submit(server, transport, reply)
            assert isinstance(report, Refused), (name, report)
            assert (report.failure_code, report.cause) == (failure_code, cause), name
            assert report.words.code, name
            assert len(server.calls("POST", self.create_path)) == 1, name

    @pytest.mark.parametrize("status", [401, 403])
    @pytest.mark.parametrize("reply", [Reply(0, {"message": "no"}), Reply(0, b"<html>", {"Content-Type": "text/html"})])
    async def test_refused_credentials_are_our_configuration(
        self, status: int, reply: Reply, server: Scripted, transport: Transport
    ) -> None:
        (report,) = await self.submit(server, transport, replace(reply, status=status))
        assert isinstance(report, Refused)
        assert (report.failure_code, report.cause) == (FailureCode.CONFIGURATION, RefusalCause.CONNECTION)
        assert len(server.calls("POST", self.create_path)) == (self.credentials_tried if status == 401 else 1)

    async def test_a_missing_route_is_our_configuration(self, server: Scripted, transport: Transport) -> None:
        (report,) = await self.submit(server, transport, Reply(404, b"404: Not Found", {"Content-Type": "text/plain"}))
        assert isinstance(report, Refused)
        assert (report.failure_code, report.cause) == (FailureCode.CONFIGURATION, RefusalCause.CONNECTION)

    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            (None, None),
            ("7", 7.0),
            ("0", 0.0),
            ("-5", None),
            ("315360000", 3600.0),
            ("9" * 50, 3600.0),
            ("Fri, 31 Dec 2100 23:59:59 GMT", 3600.0),
            ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
            ("Fri, 31 Dec 1999 23:59:59 -0000", 0.0),
            ("soon", None),
            ("1e3", None),
            ("٣", None),
        ],
    )
    async def test_pacing(self, header: str | None, expected: float | None, server: Scripted, transport: Transport) -> None:
        headers = {"Content-Type": "application/json"} | ({} if header is None else {"Retry-After": header})
        (report,) = await self.submit(server, transport, Reply(429, {"message": "slow down"}, headers))
        assert isinstance(report, Refused)
        assert (report.cause, report.retry_after_s) == (RefusalCause.PACING, expected)
        assert len(server.calls("POST", self.create_path)) == 1

    async def test_what_cannot_be_written_is_refused_unsent(self, server: Scripted, transport: Transport) -> None:
        self.script_accept(server)
        connector = self.connector(transport, server.base_url)
        wrong = {
            "zero": {"amount_minor": 0},
            "negative": {"amount_minor": -100},
            "currency": {"currency": "XAF"},
            "bank": {"destination": BANK},
            "card": {"destination": CardToken(CARD_TOKEN)},
            "balance": {"destination": OwnBalance()},
            **self.inexpressible,
        }
        fitting = type(self.order().destination)
        for name, changes in wrong.items():
            if type(changes.get("destination")) is fitting and name in {"bank", "card", "balance"}:
                continue
            (report,) = await connector.submit(SUBMISSION_KEY, [self.order(**changes)])
            assert isinstance(report, Refused), (name, report)
            assert report.cause is RefusalCause.PAYOUT, name
            assert "not sent" in (report.words.text or ""), name
        assert server.seen == []

    # --- accepted

    async def test_the_same_order_gives_the_same_bytes(self, server: Scripted, transport: Transport) -> None:
        count = min(self.provider.contract.batch_size, 3)
        orders = [self.order(number + 1) for number in range(count)]
        for _ in range(2):  # a new connector each time, as after a restart
            await self.submit(server, transport, self.accepting(), orders)
        first, second = server.calls("POST", self.create_path)
        assert first.body == second.body
        changing = {"Host", "Content-Length"}
        assert {k: v for k, v in first.headers.items() if k not in changing} == {
            k: v for k, v in second.headers.items() if k not in changing
        }

    async def test_one_request_per_submission(self, server: Scripted, transport: Transport, heard: Heard) -> None:
        await self.submit(server, transport, self.accepting())
        (seen,) = server.calls("POST", self.create_path)
        assert seen.headers["Content-Type"] == "application/json"
        assert heard.calls[-1][0] == self.provider.contract.provider
        assert heard.calls[-1][2] == "2xx"

    async def test_the_echo_is_told_as_it_is(self, server: Scripted, transport: Transport) -> None:
        order = self.order()
        (right,) = await self.submit(server, transport, self.accepting())
        assert (right.amount_minor, right.currency) == (order.amount_minor, order.currency)
        (wrong,) = await self.submit(server, transport, self.accepting(amount_minor=order.amount_minor * 100))
        assert (wrong.amount_minor, wrong.currency) == (order.amount_minor * 100, order.currency)
        (other,) = await self.submit(server, transport, self.accepting(currency="USD"))
        assert other.currency == "USD"

    async def test_an_unknown_status_on_create_is_unclear(self, server: Scripted, transport: Transport, heard: Heard) -> None:
        (report,) = await self.submit(server, transport, self.accepting(status="teleported"))
        assert isinstance(report, Unclear)
        assert report.provider_ref or report.submission_ref, "their id must not get lost"
        assert [word for _, _, word in heard.words] == ["teleported"]

    async def test_every_status_word(self, server: Scripted, transport: Transport, heard: Heard) -> None:
        assert self.status_words, "`status_words` of this test is empty; put in each word of the provider's tables.py"
        for word, progress in self.status_words.items():
            report = await self.find(server, transport, self.found(word))
            assert isinstance(report, Taken), (word, report)
            assert report.progress is progress, word
            failed = {Progress.FAILED, Progress.FAILED_UNPROVEN, Progress.RETURNED}
            assert (report.failure_code is not None) == (progress in failed), word
        assert [name for _, name, _ in heard.words if "status" in name and "reason" not in name] == []

    @pytest.mark.parametrize("word", ["teleported", "", 7, ["x"], {"a": 1}, True])
    async def test_an_unknown_status_is_unclear_and_counted(
        self, word: Any, server: Scripted, transport: Transport, heard: Heard
    ) -> None:
        report = await self.find(server, transport, self.found(word))
        assert isinstance(report, Unclear), report
        assert len(heard.words) == 1

    async def test_a_read_about_another_payout_is_unclear(self, server: Scripted, transport: Transport) -> None:
        word = next(iter(self.status_words))
        report = await self.find(server, transport, self.found(word, reference="somebody-elses"))
        assert isinstance(report, Unclear)

    async def test_a_read_amount_is_told_as_it_is(self, server: Scripted, transport: Transport) -> None:
        word = next(iter(self.status_words))
        lookup = self.known()
        report = await self.find(server, transport, self.found(word))
        assert (report.amount_minor, report.currency) == (lookup.amount_minor, lookup.currency)
        report = await self.find(server, transport, self.found(word, amount_minor=lookup.amount_minor + 100))
        assert report.amount_minor == lookup.amount_minor + 100

    async def test_not_found_only_where_the_contract_says_so(self, server: Scripted, transport: Transport) -> None:
        report = await self.find(server, transport, self.absent(), lookup_of(self.order()))
        assert isinstance(report, NotFound if self.provider.contract.find_by_key else Unclear)

    def absent(self) -> Answering:
        """What the provider answers about a payout that it never had."""
        return Reply(404, {"message": "not found"})

    # --- the provider's own list

    def payouts_of(self, *orders: Order, created_at: datetime = SENT_AT) -> Answering:
        """The provider's whole list: these orders, as it shows them, made at that time."""
        raise NotImplementedError

    async def listed(
        self, server: Scripted, transport: Transport, answer: Answering, window: tuple[datetime, datetime] = EVER
    ) -> Listing | Unclear:
        self.prepare(server)
        server.on("GET", ".*", answer)
        return await self.connector(transport, server.base_url).listed(*window)

    async def test_what_was_sent_is_listed(self, server: Scripted, transport: Transport) -> None:
        if not self.provider.contract.lists_payouts:
            return
        order = self.order()
        (sent,) = await self.submit(server, transport, self.accepting(), [order])
        listing = await self.listed(server, transport, self.payouts_of(order))
        assert isinstance(listing, Listing)
        assert (listing.complete, listing.reason) == (True, "")
        (row,) = listing.rows
        assert (row.amount_minor, row.currency, row.created_at) == (order.amount_minor, order.currency, SENT_AT)
        assert row.provider_ref == sent.provider_ref
        assert row.key in {None, order.key}
        assert row.attempt_id in {None, order.attempt_id}
        assert isinstance(row.progress, Progress)
        assert row.words.status

    async def test_the_list_is_cut_at_both_ends_which_belong_to_it(self, server: Scripted, transport: Transport) -> None:
        if not self.provider.contract.lists_payouts:
            return
        answer, second = self.payouts_of(self.order()), timedelta(seconds=1)
        for window, wanted in (
            ((SENT_AT, SENT_AT), 1),
            ((SENT_AT + second, SENT_AT + 2 * second), 0),
            ((SENT_AT - 2 * second, SENT_AT - second), 0),
        ):
            listing = await self.listed(server, transport, answer, window)
            assert isinstance(listing, Listing)
            assert (len(listing.rows), listing.complete) == (wanted, True), window

    async def test_a_list_that_is_empty(self, server: Scripted, transport: Transport) -> None:
        if self.provider.contract.lists_payouts:
            assert await self.listed(server, transport, self.payouts_of()) == Listing((), complete=True)

    @pytest.mark.parametrize("fault", scripted.faults(UNREADABLE, "http-400", "http-401", "http-403", "http-404", "http-429"))
    async def test_a_list_that_failed_is_unclear_and_never_empty(
        self, fault: str, server: Scripted, transport: Transport
    ) -> None:
        if self.provider.contract.lists_payouts:
            answer = self.UNREADABLE.get(fault) or Reply(int(fault.removeprefix("http-")), {"message": "?"})
            assert isinstance(await self.listed(server, transport, answer), Unclear)

    # --- secrets

    @pytest.mark.parametrize("status", [200, 400, 401, 404, 422, 429, 500])
    async def test_nothing_secret_comes_back(
        self, status: int, server: Scripted, transport: Transport, heard: Heard, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        reports = await self.submit(server, transport, scripted.echoing(status))
        reports.append(await self.find(server, transport, scripted.echoing(status)))
        connector = self.connector(transport, server.base_url)
        reports += [await connector.balance(), await connector.channels(), await connector.listed(*EVER)]
        assert self.leaks(repr(reports) + caplog.text + repr(heard)) == []
