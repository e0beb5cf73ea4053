"""What a Xendit connection needs, and the assumed facts that can be switched when Xendit answers."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from providers.base import BaseUrl, HeaderSecret, NoticeSecret, ProviderModel


def _user_name(secret: SecretStr) -> SecretStr:
    if ":" in secret.get_secret_value():
        raise ValueError("must be the key alone, without a colon: it travels as the user name of Basic authentication")
    return secret


class XenditSettings(ProviderModel):
    """Not secret. One connection is one API key, which pays one currency: limit the connection to it (section 2)."""

    base_url: BaseUrl  # the same host for test and live: the key decides
    # What its key pays. The balance is asked for in it, and the answer does not say in what it is; unset: it is not read.
    currency: Literal["IDR", "PHP", "MYR", "THB", "VND"] | None = None
    for_user_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None  # a xenPlatform sub-account
    # Section 3, CONFLICT: lists are shown as an object and as a bare array. Both are read; an empty one proves that a
    # payout does not exist only in the shape that is set here.
    list_shape: Literal["object", "array"] = "object"
    cancel_method: Literal["POST", "GET"] = "POST"  # section 3, CONFLICT: the SDKs say POST, one page's label says GET


class XenditSecrets(ProviderModel):
    """Sealed at rest. `callback_token` is the dashboard's webhook verification token, one for each mode."""

    api_key: Annotated[HeaderSecret, AfterValidator(_user_name)]
    callback_token: NoticeSecret = SecretStr("")
