"""Xendit's channel codes: which `bankCode` becomes which channel, for each currency.

In Indonesia a payout names its bank by the common code that Pivot takes too (`BCA`), so that it can go through either;
Xendit says `ID_BCA`. Elsewhere there is no common code: Xendit's own, with its country in front, passes as it is.
"""

from schemas.contract import BankCodes

# Sheet sections 4.1 and 10.
_FROM_THE_SHEET = "BCA BNI BRI MANDIRI PERMATA"
# From Xendit's public list of channels, older than the sheet: banks and wallets that Pivot has under the same code. A
# code that Xendit no longer has is refused before acceptance (section 7). A new bank is an edit here.
_FROM_THE_PUBLIC_LIST = (
    "BCA_DIGITAL BCA_SYR BJB BNC BSI BTN CIMB DANAMON DBS HSBC JAGO MAYBANK MEGA MUAMALAT OCBC PANIN SEABANK SINARMAS UOB "
    "DANA GOPAY LINKAJA OVO SHOPEEPAY"
)

INDONESIA: dict[str, str] = {code: f"ID_{code}" for code in (_FROM_THE_SHEET + " " + _FROM_THE_PUBLIC_LIST).split()}
_BANK_CODE = {channel: code for code, channel in INDONESIA.items()}

# Elsewhere nobody lists the codes that exist, so any with the country's prefix passes; Xendit refuses what it does not have.
_PREFIX = {"PHP": "PH_", "MYR": "MY_", "THB": "TH_", "VND": "VN_"}

BANK_CODES: dict[str, BankCodes] = {
    "IDR": BankCodes(listed=frozenset(INDONESIA)),
    **{currency: BankCodes(pattern=f"{prefix}[A-Z0-9_]{{1,29}}") for currency, prefix in _PREFIX.items()},
}


def channel_code(bank_code: str | None, currency: str) -> str | None:
    """The channel that pays `currency` to this bank; None when we know none."""
    known = BANK_CODES.get(currency)
    if bank_code is None or known is None or not known.takes(bank_code):
        return None
    return INDONESIA.get(bank_code, bank_code)


def bank_code_of(channel: str, currency: str) -> str | None:
    """What a payout in `currency` names to be paid through this channel; None when our table does not lead there."""
    bank_code = _BANK_CODE.get(channel, channel)
    return bank_code if channel_code(bank_code, currency) == channel else None
