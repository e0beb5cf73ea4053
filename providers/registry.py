"""Every provider that the gateway knows, by its name. One provider added = one folder and one line here."""

from providers import manual, mollie, pivot, plexy, xendit
from providers.base import Provider

PROVIDERS: dict[str, Provider] = {
    "manual": manual.PROVIDER,
    "mollie": mollie.PROVIDER,
    "pivot": pivot.PROVIDER,
    "plexy": plexy.PROVIDER,
    "xendit": xendit.PROVIDER,
}
