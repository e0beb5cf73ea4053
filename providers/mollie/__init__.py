"""Mollie (Europe): pays out one of our balances to the bank account configured on it.

Read in this order: contract, tables, reading (objects to reports), history (its list of payouts), connector.
"""

from providers.base import Provider
from providers.mollie.connector import connect
from providers.mollie.contract import CONTRACT
from providers.mollie.settings import MollieSecrets, MollieSettings

PROVIDER = Provider(contract=CONTRACT, settings=MollieSettings, secrets=MollieSecrets, connect=connect)
