"""A scene: one gateway without loops, over two providers whose truth is known. Each step lets one thing happen.

The providers are those of the model test: `keyed` honours keys and can be asked, `keyless` knows none. Time passes when the
scene says so. The judge is the fault world's own checker.
"""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import aiohttp
import asyncpg
import orjson

from gateway import dispatcher
from gateway.app import Gateway, make_gateway
from gateway.dispatcher import Submission
from gateway.ids import new_id
from gateway.onboarding import create_account, create_bearer_key, create_connection
from gateway.recovery import Recovery
from gateway.sealing import new_master_key
from gateway.settings import Settings
from gateway.store import ledger
from schemas.notice import AboutKey, Fact, PayoutFact
from schemas.payout import FINAL_PHASES, Phase
from schemas.report import Progress, Taken
from tests.model.truth import Effect, Truth, TruthfulConnector, providers_of
from tests.prove import checker
from tests.prove.checker import Finding
from tests.prove.money import Movement

_FIRST_AMOUNT = 1000  # each payout has one of its own, by which its money is known
_LONG_S = 700.0
_ROUNDS = 8
_AT_MOST = 100
_SENT = frozenset({Progress.PENDING, Progress.IN_TRANSIT, Progress.PAID, Progress.RETURNED})
# All stored times go back when time passes, and that is a rewriting. The guards of moves stay.
_PASSES = (
    """update attempt set sent_at = sent_at - $1::interval, last_sent_at = last_sent_at - $1::interval,
              check_at = check_at - $1::interval""",
    """update payout set due_at = due_at - $1::interval, created_at = created_at - $1::interval,
              final_at = final_at - $1::interval""",
    "update connection set paused_until = paused_until - $1::interval",
)
_COMPARES_TIMES = "I12_after_proof"  # with those of reports, which stay: they are hashed


class _Telling(TruthfulConnector):
    """Tells by signed notices what it knows; the signature is always right."""

    def verify_notice(self, headers: Any, body: bytes) -> bool:
        return True

    def read_notice(self, body: bytes) -> list[Fact]:
        told = orjson.loads(body)
        taken = Taken(Progress(told["progress"]), amount_minor=told["amount"], currency=told["currency"])
        return [PayoutFact(AboutKey(told["key"]), taken)]


class Scene:
    """One account, and connections at one or both providers, by priority."""

    def __init__(self, dsn: str, folder: Path, through: Sequence[str] = ("keyed", "keyless"), **contract: Any) -> None:
        """`contract`: what is different in both contracts."""
        self.truth = Truth()
        self.gateway: Gateway
        self.held: list[Submission] = []
        self._dsn = dsn
        self._folder = folder
        self._through = through
        self._contract = contract
        self._master_key = new_master_key()
        self._history: list[dict[str, Any]] = []
        self._amounts = _FIRST_AMOUNT

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        self._admin = await asyncpg.connect(self._dsn)
        await self._admin.execute("drop trigger attempt_is_as_sent on attempt; drop trigger payout_is_as_asked on payout")
        await self._open()
        await self._open_account()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()
        await self._admin.close()
        await self._http.close()

    # --- the process

    async def _open(self) -> None:
        settings = Settings(port=0, data_dir=self._folder, pool_size=6)
        self.gateway = await make_gateway(settings, self._dsn, self._master_key, self._providers())
        await self.gateway.hold_watch.begin()
        await self.gateway._serve()

    async def _close(self) -> None:
        await self.gateway._runner.cleanup()
        self.gateway.high_water.close()
        await self.gateway.transport.close()
        self.gateway.pool.terminate()

    async def die(self) -> None:
        """The process ends, whatever it was doing, and another one starts."""
        self.gateway.pool.terminate()
        await self._close()
        await self._open()

    async def leave(self) -> None:
        """The process ends, and nobody holds the database any more."""
        await self._close()
        await self._admin.close()

    async def come_back(self, dsn: str | None = None) -> None:
        """Another process starts; perhaps with another database, a copy from earlier."""
        self._dsn = dsn or self._dsn
        self._admin = await asyncpg.connect(self._dsn)
        await self._open()

    def _providers(self) -> dict[str, Any]:
        made = {}
        for name, provider in providers_of(self.truth).items():
            contract = replace(provider.contract, **self._contract)
            made[name] = replace(provider, contract=contract, connect=lambda *_, n=name: _Telling(self.truth, n))
        return made

    async def _open_account(self) -> None:
        pool, seal, providers = self.gateway.pool, self.gateway.seal, self._providers()
        self._account_id = await create_account(pool, "Scene", "IDR")
        self._bearer = (await create_bearer_key(pool, seal, self._account_id)).key
        self._connections = {
            name: await create_connection(
                pool, seal, providers, account_id=self._account_id, provider=name, name=name, settings={}, secret_values={},
                currencies=[], connection_id=f"conn_{uuid.uuid4().hex}", priority=priority,
            )
            for priority, name in enumerate(self._through, 1)
        }  # fmt: skip
        await self.credit(10**6)

    # --- what may happen

    async def credit(self, amount_minor: int) -> None:
        """Money comes in."""
        reference = uuid.uuid4().hex
        await ledger.credit(
            self.gateway.pool, account_id=self._account_id, currency="IDR", amount_minor=amount_minor, reference=reference,
            fingerprint=b"start", tx_id=new_id("ltx"), memo=None,
        )  # fmt: skip

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One request of the merchant; the payout that the answer shows, if it shows one."""
        key = uuid.uuid4().hex
        headers = {"Authorization": f"Bearer {self._bearer}", "Idempotency-Key": key}
        url = f"http://127.0.0.1:{self.gateway.port}/api/v1/payouts{path}"
        async with self._http.post(url, json=body, headers=headers) as answer:
            data = (await answer.json()).get("data") or {}
        if not path and data:
            self._history.append(
                {
                    "what": "create",
                    "outcome": "ok",
                    "account": 0,
                    "key": key,
                    "payout": data["id"],
                    "scenario": None,
                    "amount": body["amount"],
                }
            )
        return data

    async def pay(self, at_least: int = 0) -> str:
        """A create; the payout's id."""
        self._amounts += 1
        amount_minor = at_least + self._amounts
        bank = {"bankName": "Bank", "bankAccountNumber": "1234567890", "bankAccountHolder": "PT Contoh"}
        made = await self.post("", {"amount": amount_minor, "currency": "IDR", **bank})
        return made.get("id", "")

    async def together(self, many: int, at_least: int) -> None:
        """So many creates at the same moment."""
        await asyncio.gather(*(self.pay(at_least) for _ in range(many)))

    async def dispatch(self) -> None:
        """Everything that is due goes out, and is answered. A death in between ends it, as it would end the process."""
        await asyncio.gather(self._dispatch(), return_exceptions=True)

    async def _dispatch(self) -> None:
        await self.claim()
        await self.send()

    async def claim(self) -> None:
        """Everything that is due is claimed, and held by a process that stands still."""
        lanes = [dispatcher._lane(contract, _AT_MOST) for contract in self.gateway.connections.contracts()]
        self.held += await self.gateway.dispatcher.claim(lanes, limit=_AT_MOST)

    async def send(self) -> None:
        """What is held goes out."""
        held, self.held = self.held, []
        await self.gateway.dispatcher._open_gates(held)
        for submission in held:
            await self.gateway.dispatcher._send(submission)

    async def reconcile(self) -> None:
        """What is due to be read is read. What the database refuses ends the round, as it ends a loop's."""
        await asyncio.gather(self.gateway.reconciler.round(), return_exceptions=True)

    async def recover(self) -> None:
        """What has to be looked up is looked up."""
        await Recovery(self.gateway.pool, self.gateway.connections, self.gateway.apply).round()

    async def time_passes(self, seconds: float) -> None:
        """For everybody: the providers, the database, and a process that stands still."""
        self.truth.now_s += seconds
        for statement in _PASSES:
            await self._admin.execute(statement, timedelta(seconds=seconds))
        self.held = [replace(held, send_before=held.send_before - seconds) for held in self.held]

    async def tell(
        self, effect: Effect, *, times: int = 1, progress: Progress | None = None, amount: int | None = None
    ) -> None:
        """A signed notice about an effect, which need not be true."""
        told = {
            "key": effect.key,
            "progress": progress or effect.progress,
            "amount": effect.amount_minor if amount is None else amount,
            "currency": effect.currency,
        }
        for _ in range(times):
            url = f"http://127.0.0.1:{self.gateway.port}/webhooks/{effect.provider}/{self._connections[effect.provider]}"
            async with self._http.post(url, data=orjson.dumps(told)) as answer:
                assert answer.status == 200, await answer.text()
            await self.gateway.inbox.round()
            await self.gateway.inbox._reading.finish()

    # --- the end

    async def settle(self) -> None:
        """Nothing goes wrong any more: providers pay what they have, and time passes until all is known."""
        self.truth.script = {"keyed": [], "keyless": []}
        for _ in range(_ROUNDS):
            for effect in self.truth.effects:
                if effect.lands_at <= self.truth.now_s and effect.progress in (Progress.PENDING, Progress.IN_TRANSIT):
                    effect.progress = Progress.PAID
            await self.time_passes(_LONG_S)
            await self.recover()
            await self.dispatch()
            await self.reconcile()
            phases = {record["phase"] for record in await self._admin.fetch("select phase from payout")}
            if phases <= {*FINAL_PHASES, Phase.NEEDS_REVIEW}:
                return

    async def findings(self) -> list[Finding]:
        """What the checker says."""
        found = await checker.facts(self._admin, self._movements(), self._history)
        return [f for f in await checker.check(self._admin, found) if not f.text.startswith(_COMPARES_TIMES)]

    def _movements(self) -> list[Movement]:
        movements = []
        for at, effect in enumerate(self.truth.effects):
            what = (float(at), effect.provider)
            money = (effect.amount_minor, effect.currency, None, effect.key)
            if effect.progress in _SENT:
                movements.append(Movement(*what, "sent", *money))
            if effect.progress is Progress.RETURNED:
                movements.append(Movement(*what, "returned", *money))
        return movements
