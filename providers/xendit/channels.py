"""Xendit's channel codes: which `bankCode` becomes which channel, for each currency.

In Indonesia a payout names its bank by the common code that Pivot takes too (`BCA`), so that it can go through either;
Xendit says `ID_BCA`. Elsewhere there is no common code: Xendit's own, with its country in front, passes as it is.
"""

import re

# Sheet sections 4.1 and 10.
_FROM_THE_SHEET = "BCA BNI BRI MANDIRI PERMATA"
# From Xendit's public list of channels, older than the sheet: banks and wallets that Pivot has under the same code. A
# code that Xendit no longer has is refused before acceptance (section 7). A new bank is an edit here.
_FROM_THE_PUBLIC_LIST = (
    "BCA_DIGITAL BCA_SYR BJB BNC BSI BTN CIMB DANAMON DBS HSBC JAGO MAYBANK MEGA MUAMALAT OCBC PANIN SEABANK SINARMAS UOB "
    "DANA GOPAY LINKAJA OVO SHOPEEPAY"
)

INDONESIA: dict[str, str] = {code: f"ID_{code}" for code in (_FROM_THE_SHEET + " " + _FROM_THE_PUBLIC_LIST).split()}
_PREFIX = {"PHP": "PH_", "MYR": "MY_", "THB": "TH_", "VND": "VN_"}
_PREFIXED = re.compile(r"(?:PH|MY|TH|VN)_[A-Z0-9_]{1,29}")


class ChannelCodes(frozenset[str]):
    """The codes that we can list. `in` also says yes to any code with another country's prefix: nobody lists those."""

    __slots__ = ()

    def __contains__(self, code: object) -> bool:
        return super().__contains__(code) or (isinstance(code, str) and _PREFIXED.fullmatch(code) is not None)


BANK_CODES = ChannelCodes(INDONESIA)


def channel_code(bank_code: str | None, currency: str) -> str | None:
    """The channel that pays `currency` to this bank; None when we know none."""
    if bank_code is None:
        return None
    if currency == "IDR":
        return INDONESIA.get(bank_code)
    prefix = _PREFIX.get(currency)
    return bank_code if prefix and bank_code.startswith(prefix) and _PREFIXED.fullmatch(bank_code) else None
