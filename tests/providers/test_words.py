"""The table reader, quoting, references, proofs and what all answers have in common."""

import hashlib
import hmac
import string
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from providers.answers import json_object, money_of, retry_after_s
from providers.base import ProviderModel
from providers.pivot.settings import PivotSecrets, PivotSettings
from providers.proof import hmac_sha256_hex, static_secret
from providers.transport import Answer
from providers.words import MAX_TEXT, Table, quote, reference, translate
from schemas.money import CURRENCY_EXPONENT, to_decimal_text
from schemas.report import Unclear, Words

COLOURS = Table("acme", "colour", {"red": 1, "green": 2})


def answer(body: bytes, status: int = 200, **headers: str) -> Answer:
    return Answer(status, CIMultiDictProxy(CIMultiDict({"Content-Type": "application/json"} | headers)), body)


class TestTranslate:
    def test_known_and_unknown(self) -> None:
        heard: list[tuple[str, str, str]] = []
        assert translate(COLOURS, "green", lambda *word: heard.append(word)) == 2
        assert heard == []
        meaning = translate(COLOURS, "mauve", lambda *word: heard.append(word))
        assert meaning == Unclear("acme sent an unknown colour", Words(status="mauve"))
        assert heard == [("acme", "colour", "mauve")]

    def test_what_is_counted_is_short_and_harmless(self) -> None:
        heard: list[str] = []
        for word in ("x" * 10_000, "a" * 30 + "\n" + "888801000157508", 7, None, ""):
            translate(COLOURS, word, lambda _provider, _table, shown: heard.append(shown))
        assert heard == ["***", "a" * 30 + " ***", "(int)", "(NoneType)", "(empty)"]


class TestQuote:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("Invalid account", "Invalid account"),
            ("account 888801000157508 is closed", "account *** is closed"),
            ("card 4111 1111 1111 1111 declined", "card *** declined"),
            ("card 4111-1111-1111-1111.", "card ***."),
            ("IBAN GB29NWBK60161331926819", "IBAN ***"),
            ("Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.x", "Bearer ***.x"),
            ("key hush-hush is wrong", "key *** is wrong"),
            ("line\nbreak\ttab\x00nul", "line break tab nul"),
            ("Remaining amount today: Rp 12,500", "Remaining amount today: Rp 12,500"),
            ("   ", None),
            ("", None),
            (7, None),
            (None, None),
            (["x"], None),
        ],
    )
    def test_examples(self, text: Any, shown: str | None) -> None:
        assert quote(text, hide=("hush-hush", "")) == shown

    @given(text=st.text(), secret=st.text(min_size=1))
    def test_short_printable_and_without_the_secret(self, text: str, secret: str) -> None:
        shown = quote(text + secret + text, hide=(secret,))
        assert shown is None or (len(shown) <= MAX_TEXT and shown.isprintable())

    @given(
        number=st.from_regex(r"[0-9]{8,34}", fullmatch=True), before=st.text(string.ascii_letters + " "), after=st.text(" ,;:")
    )
    def test_no_account_number_survives(self, number: str, before: str, after: str) -> None:
        assert number not in (quote(f"{before}{number}{after}") or "")


class TestReference:
    @pytest.mark.parametrize("good", ["payout_x", "019ife38-3g27-3ebc-9ba8-3f9cd0defffb", "999", "a" * 100])
    def test_good(self, good: str) -> None:
        assert reference(good) == good

    @pytest.mark.parametrize("bad", ["", "-x", "..", "a/b", "a b", "a?b", "a\n", "é", "a" * 101, 7, None, [], {"a": 1}, True])
    def test_bad(self, bad: Any) -> None:
        assert reference(bad) is None


class TestProof:
    @given(secret=st.text(min_size=1), values=st.lists(st.text(), max_size=4))
    @example(secret="s", values=["\udcff"])
    def test_static_secret(self, secret: str, values: list[str]) -> None:
        assert static_secret(values, secret) == (secret in values)
        assert static_secret([*values, secret], secret)
        assert not static_secret([*values, ""], "")

    # Without NUL: HMAC pads a short key with it, so such a secret would equal an empty one. Settings refuse it.
    @given(
        secrets=st.lists(st.text(st.characters(exclude_characters="\x00")), max_size=3),
        body=st.binary(),
        values=st.lists(st.text(), max_size=3),
    )
    def test_hmac(self, secrets: list[str], body: bytes, values: list[str]) -> None:
        assert not hmac_sha256_hex(values, body, secrets)
        for secret in secrets:
            good = hmac.new(secret.encode("utf-8", "surrogatepass"), body, hashlib.sha256).hexdigest()
            assert hmac_sha256_hex([*values, good], body, secrets) == bool(secret)
            assert not hmac_sha256_hex([*values, good], body + b"0", secrets)


class TestAnswers:
    @pytest.mark.parametrize(
        "content_type",
        [
            "application/json",
            "application/JSON",
            "application/json; charset=utf-8",
            "application/hal+json",
            "application/problem+json",
        ],
    )
    def test_json_of_any_kind(self, content_type: str) -> None:
        assert json_object(answer(b'{"a": 1.10}', **{"Content-Type": content_type})) == {"a": Decimal("1.10")}

    @pytest.mark.parametrize("content_type", ["", "text/html", "text/json", "application/octet-stream", "json"])
    def test_other_types_are_unclear(self, content_type: str) -> None:
        assert isinstance(json_object(answer(b"{}", **{"Content-Type": content_type})), Unclear)

    @given(value=st.text())
    def test_retry_after_of_any_shape(self, value: str) -> None:
        wait = retry_after_s(answer(b"", **{"Retry-After": value}))
        assert wait is None or 0 <= wait <= 3600

    @given(amount=st.integers(0, 2**53 - 1), currency=st.sampled_from(sorted(CURRENCY_EXPONENT)))
    def test_money_is_exact(self, amount: int, currency: str) -> None:
        assert money_of({"currency": currency, "value": to_decimal_text(amount, currency)}) == (amount, currency)

    @given_settings(max_examples=100, deadline=None)
    @given(
        value=st.recursive(
            st.none() | st.booleans() | st.integers() | st.text() | st.decimals(),
            lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["currency", "value", "x"]), x),
        )
    )
    def test_money_of_any_shape(self, value: Any) -> None:
        for shape in (value, {"currency": "IDR", "value": value}, {"currency": value, "value": "1"}):
            money = money_of(shape)
            assert money is None or isinstance(money[0], int)


class TestSettings:
    @pytest.mark.parametrize(
        "url",
        [
            "https://api.pivot-payment.com",
            "https://api.example.com/",
            "http://127.0.0.1:8090/pivot",
            "http://[::1]:8090",
            "http://localhost:8090",
            "http://10.1.2.3:8090",
        ],
    )
    def test_addresses(self, url: str) -> None:
        assert PivotSettings(base_url=url).base_url == url.rstrip("/")

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "api.example.com",
            "ftp://x",
            "https://",
            "https://u:p@x",
            "https://x?a=b",
            "https://x#a",
            "https://x:99999",
            "https://x y",
            "https://[",
            "https://x\n",
            "file:///etc",
            "http://api.pivot-payment.com",
            "http://localhost.example.com",
            "http://8.8.8.8",
            "http://2130706433",  # 127.0.0.1 as nobody writes it
        ],
    )
    def test_no_addresses(self, url: str) -> None:
        with pytest.raises(ValueError, match="validation error"):
            PivotSettings(base_url=url)

    @pytest.mark.parametrize("secret", ["", "a b", "a\nb", "ключ", "a" * 5000])
    def test_secrets_that_cannot_travel_in_a_header(self, secret: str) -> None:
        with pytest.raises(ValueError, match="client_secret") as caught:
            PivotSecrets.model_validate({"client_id": "a", "client_secret": secret})
        assert not secret or secret not in str(caught.value)

    def test_settings_are_frozen_and_closed(self) -> None:
        settings: ProviderModel = PivotSettings(base_url="https://x")
        with pytest.raises(ValueError, match="frozen"):
            settings.base_url = "https://y"  # type: ignore[attr-defined] # that is the point
        with pytest.raises(ValueError, match="surprise"):
            PivotSettings.model_validate({"base_url": "https://x", "surprise": 1})
