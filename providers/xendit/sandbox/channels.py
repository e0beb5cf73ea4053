"""The channels that the Xendit sandbox pays to, with their limits: the list of GET `/payouts_channels`.

The sheet names some codes and no limits; the rest is ASSUME, and the setting `channelLimits` changes it. Only data and
look-ups: whether an amount is fine for a channel is said in `rules`.
"""

from dataclasses import dataclass
from decimal import Decimal

from providers.xendit.sandbox.facts import DECIMALS

CURRENCY_BY_COUNTRY = {"ID": "IDR", "PH": "PHP", "VN": "VND", "MY": "MYR", "TH": "THB"}
# What one payout may be, ASSUME: currency -> (at least, at most).
BANK_LIMITS = {
    "IDR": ("10000", "50000000000"),
    "PHP": ("1", "50000000"),
    "VND": ("10000", "5000000000"),
    "MYR": ("1", "10000000"),
    "THB": ("1", "50000000"),
}
EWALLET_MOST = {"IDR": "20000000", "PHP": "500000"}

BANKS = (
    *("ID_BCA", "ID_MANDIRI", "ID_BNI", "ID_BRI", "ID_PERMATA", "ID_CIMB", "ID_BSI", "ID_DANAMON", "ID_BTN", "ID_JAGO"),
    *("ID_BCA_DIGITAL", "ID_BCA_SYR", "ID_BJB", "ID_BNC", "ID_DBS", "ID_HSBC", "ID_MAYBANK", "ID_MEGA", "ID_MUAMALAT"),
    *("ID_OCBC", "ID_PANIN", "ID_SEABANK", "ID_SINARMAS", "ID_UOB"),
    *("PH_BPI", "PH_BDO", "VN_VCB", "VN_TCB", "MY_DUITNOW", "TH_SCB", "TH_KBANK", "TH_PROMPTPAY"),
)
EWALLETS = ("ID_GOPAY", "ID_OVO", "ID_DANA", "ID_SHOPEEPAY", "ID_LINKAJA", "PH_GCASH", "PH_PAYMAYA")


@dataclass(frozen=True, slots=True)
class Channel:
    code: str
    category: str
    currency: str
    name: str
    minimum: Decimal
    maximum: Decimal
    increment: Decimal


def channel_of(code: str, category: str) -> Channel:
    country, _, name = code.partition("_")
    currency = CURRENCY_BY_COUNTRY[country]
    least, most = BANK_LIMITS[currency]
    if category == "EWALLET":
        most = EWALLET_MOST.get(currency, most)
    step = Decimal(1).scaleb(-DECIMALS[currency])
    return Channel(code, category, currency, name.replace("_", " ").title(), Decimal(least), Decimal(most), step)


CHANNELS = {
    **{code: channel_of(code, "BANK") for code in BANKS},
    **{code: channel_of(code, "EWALLET") for code in EWALLETS},
}
