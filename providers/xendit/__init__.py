"""Xendit Payouts API v2 (South-East Asia): single payouts to bank accounts and wallets, which may come back after success.

Read in this order: contract, channels, tables, amounts, orders (orders to wire), reading (answers to reports), account (its
balance and its list of channels), connector.
"""

from providers.base import Provider
from providers.xendit.connector import connect
from providers.xendit.contract import CONTRACT
from providers.xendit.settings import XenditSecrets, XenditSettings

PROVIDER = Provider(contract=CONTRACT, settings=XenditSettings, secrets=XenditSecrets, connect=connect)
