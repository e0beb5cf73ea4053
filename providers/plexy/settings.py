"""What a Plexy connection needs, and the assumed facts (X-n of the Plexy sheet), to be switched when Plexy answers.

Marked (!): must be confirmed before live mode.
"""

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from providers.base import BaseUrl, HeaderSecret, NoticeSecret, ProviderModel

CARD_FIELDS = (
    "encryptedCardNumber",
    "encryptedExpiryMonth",
    "encryptedExpiryYear",
    "encryptedCvv",
    "encryptedCardholderName",
)

Path = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9{}_-]+)+$")]
Keys = Annotated[str, Field(pattern=r"^[A-Za-z_]+(\.[A-Za-z_]+)*$")]  # where a value is found: data.error.code


class PlexySettings(ProviderModel):
    """Not secret."""

    base_url: BaseUrl  # X-1 (!)
    path_get: Path = "/v1/transactions/{id}"
    path_list: Path = "/v1/transactions"
    # X-4 (!): sent beside tokenId and amount; each may be switched on alone.
    payout_fields: frozenset[Literal["currency", "description", "merchantReference"]] = frozenset()
    id_paths: tuple[Keys, ...] = ("id", "transactionId", "payoutId", "data.id")  # X-4b (!)
    card_fields: tuple[str, ...] = CARD_FIELDS  # X-5 (!)
    amount_scale: Literal[0, 2] = 0  # X-6 (!): 0 = whole tenge with up to 2 decimals, 2 = tiyn
    list_amount_scale: Literal[0, 2] = 0  # section 4.2: the list was seen to be in whole tenge, whatever X-6 is
    # X-7, tried in this order; the text is beside it under the same name with "message" for "code".
    error_paths: tuple[Keys, ...] = ("data.error_code", "data.errorCode", "data.error.code", "error_code", "errorCode")


class PlexySecrets(ProviderModel):
    """Sealed at rest."""

    api_key: HeaderSecret  # travels raw, without "Bearer" (sheet section 2)
    webhook_token: NoticeSecret = SecretStr("")
