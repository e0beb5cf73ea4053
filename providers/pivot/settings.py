"""What a Pivot connection needs, and the assumed facts that can be switched when Pivot answers."""

from typing import Annotated

from pydantic import Field, SecretStr

from providers.base import BaseUrl, HeaderSecret, NoticeSecret, ProviderModel
from schemas.checks import CheckPolicy


class PivotSettings(ProviderModel):
    """Not secret. Production and sandbox hosts are in the sheet, section 2."""

    base_url: BaseUrl
    sub_merchant_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None  # x-submerchant-id
    # V-8: a refused batch created nothing. False = a refusal of several rows proves nothing about any of them.
    batch_atomic: bool = True
    # Off, because a create takes an account without an inquiry (section 8's conflict), and each inquiry costs a fee.
    check_before_paying: CheckPolicy = CheckPolicy.OFF


class PivotSecrets(ProviderModel):
    """Sealed at rest. `callback_key` is the dashboard's Callback API Key."""

    client_id: HeaderSecret
    client_secret: HeaderSecret
    callback_key: NoticeSecret = SecretStr("")
