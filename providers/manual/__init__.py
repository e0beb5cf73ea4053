"""Manual payouts: a person makes the transfer and marks how far it is.

Nothing goes over a network. Read: contract, connector.
"""

from providers.base import Provider
from providers.manual.connector import connect
from providers.manual.contract import CONTRACT
from providers.manual.settings import ManualSecrets, ManualSettings

PROVIDER = Provider(contract=CONTRACT, settings=ManualSettings, secrets=ManualSecrets, connect=connect)
