"""Plexy (Kazakhstan): saves a card, then pays to its token; a notice decides how it ended.

Read in this order: contract, settings (most facts are assumed), tables, amounts, reading, transactions (its list), connector.
"""

from providers.base import Provider
from providers.plexy.connector import connect
from providers.plexy.contract import CONTRACT
from providers.plexy.settings import PlexySecrets, PlexySettings

PROVIDER = Provider(contract=CONTRACT, settings=PlexySettings, secrets=PlexySecrets, connect=connect)
