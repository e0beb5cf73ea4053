"""Pivot (Indonesia): bank batch payouts, up to 1,000 rows in one request.

Read in this order: contract, tables, rows (orders to wire), reading (answers to reports), connector.
"""

from providers.base import Provider
from providers.pivot.connector import connect
from providers.pivot.contract import CONTRACT
from providers.pivot.settings import PivotSecrets, PivotSettings

PROVIDER = Provider(contract=CONTRACT, settings=PivotSettings, secrets=PivotSecrets, connect=connect)
