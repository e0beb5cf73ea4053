"""Random histories against the real store: sends, lost answers, deaths, reads, late notices, cancels, time; rules after each.

The judge is `tests.model.truth`, which knows where money is; the gateway's own books cannot see a double payment.
"""

import asyncio
import os
import uuid
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as HypothesisPhase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from test_books import check_invariants

from gateway import apply, dispatcher, lifecycle, reconciler
from gateway.app import make_gateway
from gateway.ids import new_id
from gateway.onboarding import create_account, create_connection
from gateway.recording import Said
from gateway.sealing import new_master_key
from gateway.settings import Settings
from gateway.store import ledger
from gateway.store.payouts import NewPayout, get_payout
from gateway.store.rows import PayoutRow
from schemas.failure import FailureCode
from schemas.payout import FINAL_PHASES, AttemptState, Phase
from schemas.report import Progress, RefusalCause, Refused, Unclear
from tests.model.truth import Answer, Truth, providers_of

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "6"))
STEPS = int(os.environ.get("MODEL_STEPS", "30"))
_NEXT = {
    Progress.PENDING: [Progress.IN_TRANSIT, Progress.PAID, Progress.FAILED],
    Progress.IN_TRANSIT: [Progress.PAID, Progress.FAILED],
    Progress.PAID: [Progress.RETURNED],
}
_SHIFT = (
    """update attempt set sent_at = sent_at - $1::interval, last_sent_at = last_sent_at - $1::interval,
              check_at = check_at - $1::interval""",
    """update payout set due_at = due_at - $1::interval, created_at = created_at - $1::interval,
              final_at = final_at - $1::interval""",
    "update connection set paused_until = paused_until - $1::interval",
)


class Histories(RuleBasedStateMachine):
    """One gateway without loops: each rule lets one thing happen, and lets it happen completely."""

    postgres = None

    @initialize()
    def open_a_gateway(self):
        self.loop = asyncio.new_event_loop()
        self.truth = Truth()
        self.made: list[str] = []
        self.said: list[Said] = []
        self.do(self._open())

    def do(self, coroutine):
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, 20))

    async def _open(self):
        name = f"model_{uuid.uuid4().hex}"
        admin = await asyncpg.connect(self.postgres.dsn)
        await admin.execute(f"create database {name} template template_gateway strategy wal_log")
        await admin.close()
        dsn = self.postgres.dsn_of(name)
        self.admin = await asyncpg.connect(dsn)
        # Time passes by moving every stored time back, and that is a rewriting. The guards of moves stay.
        await self.admin.execute("drop trigger attempt_is_as_sent on attempt; drop trigger payout_is_as_asked on payout")
        providers = providers_of(self.truth)
        self.gateway = await make_gateway(Settings(port=0, roles="api", pool_size=3), dsn, new_master_key(), providers)
        self.gateway.dispatcher.gates._clock = lambda: self.truth.now_s  # circuits close as time passes here
        pool, seal = self.gateway.pool, self.gateway.seal
        self.account_id = await create_account(pool, "Model", "IDR")
        self.connections = {
            name: await create_connection(
                pool, seal, providers, account_id=self.account_id, provider=provider, name=name, settings={}, secret_values={},
                currencies=[], connection_id=f"conn_{uuid.uuid4().hex}", priority=priority,
            )
            for name, provider, priority in (("first", "keyed", 1), ("second", "keyless", 2))
        }  # fmt: skip
        await ledger.credit(
            pool, account_id=self.account_id, currency="IDR", amount_minor=10**12, reference="start", fingerprint=b"start",
            tx_id=new_id("ltx"), memo=None,
        )  # fmt: skip

    def teardown(self):
        if hasattr(self, "gateway"):
            self.do(self._close())
        if hasattr(self, "loop"):
            self.loop.close()

    async def _close(self):
        await self.gateway.transport.close()
        await self.gateway.pool.close()
        await self.admin.close()

    @rule(first=st.booleans(), key=st.integers(0, 50))
    def create(self, first, key):
        """A create, perhaps one that was asked for before; perhaps preferring the provider without keys."""
        self.do(self._create("first" if first else "second", f"key {key}"))

    async def _create(self, name, key):
        now = await self.gateway.pool.fetchval("select now()")
        contract = {"first": "keyed", "second": "keyless"}[name]
        row = PayoutRow(
            account_id=self.account_id, id=new_id("po"), amount_minor=1000, currency="IDR", destination_type="bank_account",
            bank_code=None, bank_name="Bank", bank_account_number="123", bank_account_holder="Holder", card_id=None,
            provider=contract, connection_id=self.connections[name], method=contract, merchant_reference=None, note=None,
            statement_descriptor=None, metadata=None, created_at=now, updated_at=now,
        )  # fmt: skip
        new = NewPayout(
            row=row, request_key=key, fingerprint=b"same", linger_s=0.0, source="key:model", reason="created",
            event_id=new_id("evt"), tx_id=new_id("ltx"), route={},
        )  # fmt: skip
        created = await self.gateway._creates.submit(new)
        if created.payout_id not in self.made:
            self.made.append(created.payout_id)

    @rule(keyed=st.booleans(), key=st.integers(0, 50), answers=st.tuples(st.sampled_from(Answer), st.sampled_from(Answer)))
    def pay(self, keyed, key, answers):
        """A create that goes out at once, to providers that have something in mind for it."""
        self.truth.script = {provider: [answer] for provider, answer in zip(("keyed", "keyless"), answers, strict=True)}
        self.create(keyed, key)
        self.dispatch()

    @rule(seconds=st.sampled_from([1.0, 10.0, 70.0, 700.0, 5_000.0]))
    def look(self, seconds):
        """Time, and then what the loops do with it."""
        self.time_passes(seconds)
        self.reconcile()
        self.dispatch()

    def dispatch(self):
        self.do(self._dispatch())

    async def _dispatch(self):
        await self.gateway.dispatcher.round()
        if self.gateway.dispatcher._sending:
            await asyncio.wait(self.gateway.dispatcher._sending)

    def reconcile(self):
        self.do(self._reconcile())

    async def _reconcile(self):
        # A death in the middle of a repetition ends the round, as it would end the process.
        await asyncio.gather(self.gateway.reconciler.round(), return_exceptions=True)

    @rule()
    def reroute(self):
        self.do(self.gateway.rerouter.round())

    def time_passes(self, seconds):
        self.truth.now_s += seconds
        self.do(self._shift(seconds))

    async def _shift(self, seconds):
        for statement in _SHIFT:
            await self.admin.execute(statement, timedelta(seconds=seconds))

    @precondition(lambda self: self.truth.effects)
    @rule(data=st.data())
    def the_provider_goes_on(self, data):
        landed = [e for e in self.truth.effects if e.lands_at <= self.truth.now_s and e.progress in _NEXT]
        if landed:
            effect = data.draw(st.sampled_from(landed))
            effect.progress = data.draw(st.sampled_from(_NEXT[effect.progress]))

    @precondition(lambda self: self.truth.effects)
    @rule(data=st.data())
    def a_notice_tells_what_is(self, data):
        effect = data.draw(st.sampled_from(self.truth.effects))
        if effect.lands_at <= self.truth.now_s:
            self.do(self._notice(effect))

    async def _notice(self, effect):
        attempt = await self.admin.fetchrow("select account_id, id from attempt where key = $1", effect.key)
        said = Said(
            account_id=attempt["account_id"], attempt_id=attempt["id"], report=self.truth.taken(effect), source="notice:model"
        )
        self.said.append(said)
        await self.gateway.apply(said)

    @precondition(lambda self: self.said)
    @rule(data=st.data(), times=st.integers(1, 3))
    def an_old_notice_comes_again(self, data, times):
        said = data.draw(st.sampled_from(self.said))
        self.do(self._say_again(said, times))

    async def _say_again(self, said, times):
        await asyncio.gather(*(self.gateway.apply(said) for _ in range(times)))

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def cancel(self, data):
        self.do(self._cancel(data.draw(st.sampled_from(self.made))))

    async def _cancel(self, payout_id):
        row = await get_payout(self.gateway.pool, self.account_id, payout_id)
        ask = {"source": "key:model", "request_key": uuid.uuid4().hex, "fingerprint": b"cancel"}
        if row.phase is Phase.QUEUED:
            await self.gateway.apply.cancel_queued(row, **ask)
        elif row.phase is Phase.PROCESSING and row.attempt_state == "pending":
            await self.gateway.apply.ask_to_cancel(row, **ask)

    @invariant()
    def the_rules_hold(self):
        if hasattr(self, "gateway"):
            self.do(self._judge())

    async def _judge(self):
        attempts = {
            record["key"]: record
            for record in await self.admin.fetch(
                """select a.key, a.payout_id, a.exposure, a.state, p.phase from attempt a
                     join payout p on p.account_id = a.account_id and p.id = a.payout_id"""
            )
        }
        live: dict[str, int] = {}
        for effect in self.truth.effects:
            assert effect.key in attempts, "I10: a key out there that is not stored"
            if effect.live:
                payout_id = attempts[effect.key]["payout_id"]
                live[payout_id] = live.get(payout_id, 0) + 1
        assert all(count == 1 for count in live.values()), f"I1: paid twice, {live}"
        for key, effects in self.truth.live_by_key().items():
            assert attempts[key]["phase"] not in ("failed", "cancelled"), f"I5: {effects} is live, and the payout is over"
        await check_invariants(self.gateway.pool)

    def end_of_faults(self):
        """Safety, then liveness: without faults everything ends, or is on a person's desk."""
        self.truth.script = {"keyed": [], "keyless": []}
        for _ in range(30):
            for effect in self.truth.effects:
                if effect.lands_at <= self.truth.now_s and effect.progress in (Progress.PENDING, Progress.IN_TRANSIT):
                    effect.progress = Progress.PAID
            self.time_passes(5_000.0)  # in the end past every return window
            self.dispatch()
            self.reconcile()
            self.the_rules_hold()
        left = self.do(
            self.admin.fetch("select id, phase from payout where phase <> all ($1)", [*FINAL_PHASES, Phase.NEEDS_REVIEW])
        )
        assert not left, f"I4: {left}"
        told = dict(self.do(self.admin.fetch("select phase, count(*) from payout where phase = 'paid' group by 1")))
        assert told.get("paid", 0) <= sum(e.live for e in self.truth.effects), "I3: called paid although none was"


# To make a history small can take minutes: MODEL_SHRINK=1 does it.
HUNT = tuple(HypothesisPhase) if os.environ.get("MODEL_SHRINK") else (HypothesisPhase.generate,)


def run(machine, examples=EXAMPLES, steps=STEPS, phases=tuple(HypothesisPhase)):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            phases=phases,
            report_multiple_bugs=False,
        ),
    )


def machine_of(postgres, **replaced):
    """The machine over this PostgreSQL; its teardown ends with liveness."""

    class Running(Histories):
        def teardown(self):
            try:
                if self.made:
                    self.end_of_faults()
            finally:
                super().teardown()

    Running.postgres = postgres
    for name, value in replaced.items():
        setattr(Running, name, value)
    return Running


def test_the_rules_hold_after_every_step(postgres):
    run(machine_of(postgres), phases=HUNT)


def unclear_is_failure(monkeypatch):
    row = {**lifecycle.TABLE[AttemptState.SENDING], lifecycle.News.UNCLEAR: lifecycle.Cell(AttemptState.NOT_SENT)}
    monkeypatch.setitem(lifecycle.TABLE, AttemptState.SENDING, row)


def absence_at_once(monkeypatch):
    monkeypatch.setattr(apply, "absence_believed", lambda contract, _attempt: contract.find_by_key)


def new_key_per_send(monkeypatch):
    monkeypatch.setattr(reconciler, "order_of", lambda *given: replace(dispatcher.order_of(*given), key=uuid.uuid4().hex))


def failover_on_unclear(monkeypatch):
    decide = lifecycle.decide

    def hasty(report, situation, **given):
        if isinstance(report, Unclear) and situation.attempt_state is AttemptState.SENDING:
            report = Refused(FailureCode.PROVIDER_UNAVAILABLE, RefusalCause.PAYOUT)
        return decide(report, situation, **given)

    monkeypatch.setattr(apply, "decide", hasty)


# How each bug is met: what happens to the one send of one payout, and how long until the loops look.
MET_BY = {
    unclear_is_failure: (Answer.LOSE_AFTER, 10.0),
    absence_at_once: (Answer.LAND_LATE, 10.0),
    new_key_per_send: (Answer.LOSE_BEFORE, 10.0),
    failover_on_unclear: (Answer.LOSE_AFTER, 10.0),
}


def tell(machine, answer, seconds):
    """The shortest history that meets a bug; searching for it would take minutes."""
    machine.open_a_gateway()
    try:
        machine.pay(keyed=True, key=1, answers=(answer, Answer.ACCEPT))
        machine.the_rules_hold()
        for _ in range(3):
            machine.look(seconds)
            machine.the_rules_hold()
        machine.end_of_faults()
    finally:
        Histories.teardown(machine)


@pytest.mark.parametrize("plant", MET_BY)
def test_the_machine_sees_a_planted_bug(postgres, monkeypatch, plant):
    """B3, "not found" believed at once, B2, B5: a harness that has never seen red proves nothing."""
    tell(machine_of(postgres)(), *MET_BY[plant])
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        tell(machine_of(postgres)(), *MET_BY[plant])
