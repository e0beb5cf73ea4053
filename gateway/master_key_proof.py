"""Whether a master key is the one that a database goes with: asked before anything is served or sealed.

The first key that a database meets is its own. Knows no key but the one in the seal, and shows none.
"""

from gateway.sealing import MasterKeyError, Seal, connection_place
from gateway.store import accounts
from gateway.store.database import Pool

_PLACE = "master-key-proof"


async def prove_master_key(pool: Pool, seal: Seal) -> None:
    """Raise `MasterKeyError` for another key: better no start than a gateway that can open no secret when it has to pay."""
    try:
        await _open_what_is_sealed(pool, seal)
    except MasterKeyError as error:
        raise MasterKeyError(
            "GATEWAY_MASTER_KEY is another one than this database was set up with. Nothing was started or stored. "
            "Set it to that one; the demo keeps its own in the file master-key of its data folder"
        ) from error


async def _open_what_is_sealed(pool: Pool, seal: Seal) -> None:
    # A connection says less than the proof: it may be the one that nobody can open. Older databases have nothing else.
    older = None if await accounts.has_master_key_proof(pool) else await accounts.any_sealed_connection(pool)
    if older:
        seal.open(older.secrets_sealed, connection_place(older.account_id, older.id))
    seal.open(await accounts.keep_master_key_proof(pool, seal.seal(b"", _PLACE)), _PLACE)
