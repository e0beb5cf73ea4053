"""What a Mollie connection needs, and the assumed facts that can be switched when Mollie answers."""

from typing import Annotated

from pydantic import Field

from providers.base import BaseUrl, HeaderSecret, NoticeSecret, ProviderModel

ORGANISATION_TOKEN = "access_"  # noqa: S105 - the prefix of organisation-level tokens, not a token


class MollieSettings(ProviderModel):
    """Not secret. One connection pays out one balance."""

    base_url: BaseUrl  # without /v2
    balance_id: Annotated[str, Field(pattern=r"^bal_[A-Za-z0-9]{1,60}$")]
    testmode: bool = False  # used with organisation-level tokens only; an API key has its mode built in (M-8)
    refusal_http: frozenset[int] = frozenset({400, 403, 404, 422})  # M-1: on a create, these mean that no payout exists


class MollieSecrets(ProviderModel):
    """Sealed at rest. Two webhook secrets while one is being replaced (sheet section 9)."""

    api_key: HeaderSecret
    webhook_secrets: Annotated[tuple[NoticeSecret, ...], Field(max_length=5)] = ()
