"""The desk: two people, and nothing before the second one; what it refuses, and what is true when it does."""

import asyncio

import asyncpg
import pytest
import pytest_asyncio

from gateway.onboarding import OnboardingError, create_bearer_key, create_signing_key
from gateway.recording import Said
from gateway.store import payouts
from gateway.store.decisions import open_proposals
from schemas.failure import FailureCode
from schemas.payout import Phase
from schemas.report import Progress, Taken
from schemas.requests import Resolve
from schemas.resolution import WITHDRAW, Outcome
from tests.api.asking import NEW, PAYOUTS, ask, everything
from tests.flows.world import BANK, newest_attempt

INVALID = "validation_error"
CONFLICT = (409, "state_conflict", None)


def said(outcome="paid", **changes):
    return {"outcome": outcome, "evidence": "statement of 3 March, line 17", "reason": "the bank has booked it"} | changes


async def resolve(shop, payout, body=None, *, by=None, key=None):
    path = f"{PAYOUTS}/{payout['id']}/resolve"
    return await ask(shop, "POST", path, said() if body is None else body, headers=by, key=key or NEW)


@pytest_asyncio.fixture(loop_scope="module")
async def ana(shop):
    return await shop.person("Ana")


@pytest_asyncio.fixture(loop_scope="module")
async def budi(shop):
    return await shop.person("Budi")


async def steps_of(shop, payout):
    return [step["type"] for step in await shop.timeline(payout["id"])]


# --- what is said ---


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "outcome"),
        (said(outcome="cancelled"), "outcome"),
        (said(outcome="PAID"), "outcome"),
        (said(outcome=None), "outcome"),
        (said(outcome=["paid"]), "outcome"),
        (said(evidence=""), "evidence"),
        (said(evidence="  "), "evidence"),
        (said(evidence=None), "evidence"),
        (said(evidence="x" * 501), "evidence"),
        (said(evidence="a\nb"), "evidence"),
        (said(reason=""), "reason"),
        (said(reason=7), "reason"),
        (said(reason="x" * 501), "reason"),
        (said(confirmedBy="Budi"), "confirmedBy"),
        (said("withdraw", evidence=None), "evidence"),
        *(({k: v for k, v in said().items() if k != missing}, missing) for missing in ("outcome", "evidence", "reason")),
    ],
)
async def test_bad_input(world, shop, body, field):
    payout = await shop.on_desk()
    before = await everything(world.gateways[0].pool)
    refused = await ask(shop, "POST", f"{PAYOUTS}/{payout['id']}/resolve", body)
    assert refused.refusal == (400, INVALID, field)
    assert await everything(world.gateways[0].pool) == before


def test_the_description_names_every_outcome():
    assert Resolve.model_json_schema()["properties"]["outcome"]["enum"] == [*Outcome, WITHDRAW]


# --- two people ---


async def test_the_first_proposes_and_the_second_confirms(world, shop, ana, budi):
    start = await shop.balance()
    payout = await shop.on_desk()
    proposed = await resolve(shop, payout, by=ana)
    assert proposed.status == 202
    shown = proposed.data["resolution"]
    assert shown["id"].startswith("dec_")
    assert {k: v for k, v in shown.items() if k not in {"id", "proposedAt"}} == {
        "outcome": "paid", "evidence": "statement of 3 March, line 17", "reason": "the bank has booked it",
        "proposedBy": "Ana", "needs": "confirmation by a second person",
    }  # fmt: skip
    assert (proposed.data["phase"], proposed.data["reviewReason"]) == ("needs_review", payout["reviewReason"])
    assert (await shop.balance())["locked"] == start["locked"] + payout["amount"], "nothing moves before the second person"
    assert (await shop.payout(payout["id"]))["resolution"] == shown
    assert (await ask(shop, "GET", PAYOUTS)).data[0]["resolution"] == shown

    confirmed = await resolve(shop, payout, said(evidence="receipt 12", reason="I called the bank"), by=budi)
    assert (confirmed.status, confirmed.data["phase"], confirmed.data["resolution"]) == (200, "paid", None)
    assert confirmed.data["reviewReason"] is None
    assert (await shop.balance())["locked"] == start["locked"]
    first, second = (await shop.timeline(payout["id"]))[-2:]
    assert (first["type"], second["type"]) == ("payout.resolution_proposed", "payout.paid")
    assert first["evidence"] == "statement of 3 March, line 17"
    for word in ("Ana", "paid", "the bank has booked it"):
        assert word in first["reason"]
    assert second["evidence"] == "statement of 3 March, line 17; receipt 12"
    for word in ("Ana (key_", "Budi (key_", "the bank has booked it"):
        assert word in second["reason"]
    assert second["evidenceHash"]
    assert first["source"] != second["source"]


async def test_the_evidence_names_both_people_and_both_keys(world, shop, ana, budi):
    payout = await shop.on_desk()
    proposal = (await resolve(shop, payout, said("failed"), by=ana)).data["resolution"]
    assert (await resolve(shop, payout, said("failed", evidence="receipt 12", reason="me too"), by=budi)).status == 200
    pool = world.gateways[0].pool
    row = await pool.fetchrow("select * from decision where id = $1", proposal["id"])
    report = await pool.fetchrow(
        """select r.* from attempt a join report r on r.account_id = a.account_id and r.attempt_id = a.id
              and r.id = a.evidence_id where a.payout_id = $1""", payout["id"],
    )  # fmt: skip
    assert (report["kind"], report["source"]) == ("Decision", f"key:{row['confirmed_by']}")
    assert report["detail"] == {
        "decision": row["id"], "outcome": "failed", "evidence": said()["evidence"], "reason": said()["reason"],
        "proposed_by": row["proposed_by"], "proposed_person": "Ana", "proposed_at": report["detail"]["proposed_at"],
        "confirmed_by": row["confirmed_by"], "confirmed_person": "Budi", "confirmed_evidence": "receipt 12",
        "confirmed_reason": "me too",
    }  # fmt: skip
    assert row["proposed_by"] != row["confirmed_by"]
    assert row["state"] == "confirmed"


async def test_a_key_that_names_nobody_says_nothing(world, shop):
    """Two of them may be in one program: what it says twice is not the word of two people."""
    payout, gateway = await shop.on_desk(), world.gateways[0]
    unnamed = await create_bearer_key(gateway.pool, gateway.seal, shop.account_id)
    refused = await resolve(shop, payout, by={"Authorization": f"Bearer {unnamed.key}"})
    assert refused.refusal == (403, "person_needed", "Authorization")
    assert (await shop.payout(payout["id"]))["resolution"] is None


@pytest.mark.parametrize("name", ["Ana", "ana", "  ANA  ", "\uff21na"])
async def test_one_person_with_two_keys_is_one_person(shop, ana, name):
    payout = await shop.on_desk()
    assert (await resolve(shop, payout, by=ana)).status == 202
    for again in (ana, await shop.person(name)):
        refused = await resolve(shop, payout, by=again)
        assert refused.refusal == (409, "second_person_needed", None)
        assert refused.error["details"][0]["resolution"]["proposedBy"] == "Ana"
    assert (await shop.payout(payout["id"]))["phase"] == "needs_review"


@pytest.mark.parametrize("name", ["", "   ", "a\x00b", "x" * 101])
async def test_a_person_has_a_name(world, shop, name):
    gateway = world.gateways[0]
    before = await everything(gateway.pool)
    for create in (create_bearer_key, create_signing_key):
        with pytest.raises(OnboardingError, match="no key was created"):
            await create(gateway.pool, gateway.seal, shop.account_id, person=name)
    assert await everything(gateway.pool) == before


async def test_nobody_overwrites_what_another_proposed(shop, ana, budi):
    payout = await shop.on_desk()
    await resolve(shop, payout, said("paid"), by=ana)
    for who in (ana, budi):
        refused = await resolve(shop, payout, said("failed"), by=who)
        assert refused.refusal == CONFLICT
        assert refused.error["details"][0]["resolution"]["outcome"] == "paid"
    assert (await shop.payout(payout["id"]))["resolution"]["outcome"] == "paid"


async def test_only_who_proposed_it_takes_it_back(world, shop, ana, budi):
    payout = await shop.on_desk()
    assert (await resolve(shop, payout, said("withdraw"), by=ana)).refusal == CONFLICT, "there is nothing yet"
    await resolve(shop, payout, said("paid"), by=ana)
    refused = await resolve(shop, payout, said("withdraw"), by=budi)
    assert refused.refusal == CONFLICT
    assert "Only the person who proposed" in refused.error["message"]
    back = await resolve(shop, payout, said("withdraw", reason="the wrong line"), by=await shop.person("ana"), key="back")
    assert (back.status, back.data["phase"], back.data["resolution"]) == (200, "needs_review", None)
    assert (await steps_of(shop, payout))[-1] == "payout.resolution_withdrawn"
    assert "the wrong line" in (await shop.timeline(payout["id"]))[-1]["reason"]
    assert (await resolve(shop, payout, said("failed"), by=budi)).status == 202
    confirmed = await resolve(shop, payout, said("failed"), by=ana)
    assert (confirmed.data["phase"], confirmed.data["failureCode"]) == ("failed", "marked_failed_by_operator")
    assert confirmed.data["failureReason"] == "the bank has booked it"
    states = await world.gateways[0].pool.fetch("select state from decision where payout_id = $1 order by id", payout["id"])
    assert [row["state"] for row in states] == ["withdrawn", "confirmed"]


async def test_another_accounts_people_cannot_confirm(world, shop, ana):
    payout = await shop.on_desk()
    await resolve(shop, payout, by=ana)
    stranger = await world.merchant(providers=())
    for answer in (await resolve(stranger, payout), await resolve(stranger, payout, by=await stranger.person("Budi"))):
        assert answer.refusal == (404, "not_found", None)
    assert (await shop.payout(payout["id"]))["phase"] == "needs_review"


async def test_the_scope_to_write_is_not_the_scope_to_resolve(world, shop):
    payout = await shop.on_desk()
    gateway = world.gateways[0]
    scopes = ["plugipay:payout:read", "plugipay:payout:write", "plugipay:ledger:write"]
    writer = await create_bearer_key(gateway.pool, gateway.seal, shop.account_id, scopes=scopes, person="Ana")
    refused = await resolve(shop, payout, by={"Authorization": f"Bearer {writer.key}"})
    assert refused.refusal == (403, "insufficient_scope", "Authorization")


# --- what is not on the desk ---


async def test_what_is_not_on_the_desk_is_not_resolved(shop, ana):
    made = await shop.pay(provider="manual", **BANK)
    for outcome in (*Outcome, WITHDRAW):
        refused = await resolve(shop, made, said(outcome), by=ana)
        assert refused.refusal == CONFLICT
        assert "not on the desk" in refused.error["message"]
    assert (await shop.payout(made["id"]))["resolution"] is None


async def test_a_payout_without_an_attempt_is_cancelled_or_checked(own_world):
    gateway = await own_world.start_gateway(roles="api")  # nothing sends it
    shop = await own_world.merchant(providers=("manual",))
    made = await shop.pay(provider="manual", **BANK)
    unsent = await payouts.get_payout(gateway.pool, shop.account_id, made["id"])
    why = "its bank account could not be checked"
    assert await gateway.apply.move_unsent(
        unsent, Phase.NEEDS_REVIEW, event_type="payout.needs_review", source="checker", reason=why, review_reason=why
    )
    refused = await resolve(shop, made, by=await shop.person("Ana"))
    assert refused.refusal == CONFLICT
    assert "Cancel it, or let it be checked" in refused.error["message"]
    assert (await ask(shop, "POST", f"{PAYOUTS}/{made['id']}/cancel", {})).data["status"] == "cancelled"


async def test_an_attempt_that_is_over_did_not_end_otherwise(world, shop, ana, budi):
    """A contradiction of a final state is settled: here it stands as it was, and the books do not move."""
    payout = await shop.on_desk()
    for who in (ana, budi):
        await resolve(shop, payout, by=who)
    gateway = world.gateways[0]
    attempt = await newest_attempt(gateway.pool, payout)
    failed = Taken(Progress.FAILED, failure_code=FailureCode.UNEXPLAINED)
    await gateway.apply(Said(account_id=shop.account_id, attempt_id=attempt.id, report=failed, source="poll"))
    contradicted = await shop.payout(payout["id"])
    assert (contradicted["phase"], bool(contradicted["reviewReason"])) == ("paid", True)
    for outcome in ("failed", "not_sent"):
        refused = await resolve(shop, payout, said(outcome), by=ana)
        assert refused.refusal == CONFLICT
        assert "paid or returned" in refused.error["message"]
    before = await shop.balance()
    assert [(await resolve(shop, payout, by=who)).status for who in (budi, ana)] == [202, 200]
    settled = await shop.payout(payout["id"])
    assert (settled["phase"], settled["reviewReason"], settled["failureCode"]) == ("paid", None, None)
    assert (await steps_of(shop, payout))[-1] == "payout.resolved"
    assert await shop.balance() == before


async def test_paid_after_it_was_released_is_an_incident_and_no_resolution(world, shop, ana, budi):
    payout = await shop.on_desk()
    for who in (ana, budi):
        await resolve(shop, payout, said("failed"), by=who)
    gateway = world.gateways[0]
    attempt = await newest_attempt(gateway.pool, payout)
    paid = Taken(Progress.PAID)
    await gateway.apply(Said(account_id=shop.account_id, attempt_id=attempt.id, report=paid, source="poll"))
    refused = await resolve(shop, payout, said("paid"), by=ana)
    assert refused.refusal == CONFLICT
    assert "payout-gateway incident close" in refused.error["message"]


# --- what moves meanwhile ---


async def test_a_proposal_is_void_once_its_attempt_has_moved(world, shop, ana, budi):
    payout = await shop.on_desk()
    await resolve(shop, payout, said("not_sent"), by=ana)
    moved = await ask(shop, "POST", f"{PAYOUTS}/{payout['id']}/mark-in-transit", {"reference": "W"})
    assert (moved.data["phase"], moved.data["resolution"]) == ("needs_review", None), "what no longer fits is not shown"
    refused = await resolve(shop, payout, said("not_sent"), by=budi, key="second")
    assert refused.refusal == CONFLICT
    assert "void" in refused.error["message"]
    assert "in_transit" in refused.error["message"]
    assert (await shop.payout(payout["id"]))["phase"] == "needs_review"
    again = await resolve(shop, payout, said("paid"), by=budi)
    assert (again.status, again.data["resolution"]["proposedBy"]) == (202, "Budi")
    assert (await resolve(shop, payout, said("paid"), by=ana)).data["phase"] == "paid"
    states = await world.gateways[0].pool.fetch("select state from decision where payout_id = $1 order by id", payout["id"])
    assert [row["state"] for row in states] == ["void", "confirmed"]


async def test_a_proposal_is_void_once_its_attempt_was_sent_again(world, shop, ana, budi):
    """What a person saw before a repetition says nothing about the repetition."""
    payout = await shop.on_desk()
    await resolve(shop, payout, said("not_sent"), by=ana)
    await world.gateways[0].pool.execute("update attempt set sends = sends + 1 where payout_id = $1", payout["id"])
    assert (await resolve(shop, payout, said("not_sent"), by=budi)).refusal == CONFLICT
    assert (await shop.payout(payout["id"]))["phase"] == "needs_review"


@pytest.mark.parametrize("meanwhile", ["sent again", "moved"])
async def test_nothing_slips_in_between_the_reading_and_the_writing(world, shop, ana, budi, monkeypatch, meanwhile):
    payout = await shop.on_desk()
    await resolve(shop, payout, said("not_sent"), by=ana)
    gateway = world.gateways[0]
    attempt = await newest_attempt(gateway.pool, payout)
    onward = gateway.apply._onward

    async def late(ended):
        if meanwhile == "sent again":
            await gateway.pool.execute("update attempt set sends = sends + 1 where id = $1", attempt.id)
        else:
            taken = Taken(Progress.IN_TRANSIT)
            await gateway.apply(Said(account_id=shop.account_id, attempt_id=attempt.id, report=taken, source="poll"))
        return await onward(ended)

    monkeypatch.setattr(gateway.apply, "_onward", late)
    assert (await resolve(shop, payout, said("not_sent"), by=budi)).refusal == CONFLICT
    after = await newest_attempt(gateway.pool, payout)
    assert after.state == {"sent again": "pending", "moved": "in_transit"}[meanwhile]
    assert await gateway.pool.fetchval("select state from decision where payout_id = $1", payout["id"]) == "void"


async def test_a_payout_that_leaves_the_desk_takes_its_proposal_along(world, shop, ana, budi):
    payout = await shop.on_desk()
    proposal = (await resolve(shop, payout, said("paid"), by=ana)).data["resolution"]
    assert (await ask(shop, "POST", f"{PAYOUTS}/{payout['id']}/mark-failed", {"failureReason": "closed"})).status == 200
    pool = world.gateways[0].pool
    assert await pool.fetchval("select state from decision where id = $1", proposal["id"]) == "void"
    refused = await resolve(shop, payout, said("paid"), by=budi)
    assert refused.refusal == CONFLICT
    assert "failed" in refused.error["message"]
    assert "not on the desk" in refused.error["message"]


async def test_what_another_attempt_paid_late_is_not_sent_again(world, shop, ana):
    payout = await shop.on_desk()
    await world.gateways[0].pool.execute(
        """with evidence as (
               insert into report (account_id, attempt_id, source, kind, detail, changed, digest)
               select account_id, 'pa_earlier' || id, 'poll', 'Taken', '{}', true, 'x' from attempt where payout_id = $1
               returning account_id, attempt_id, id)
           insert into attempt (account_id, id, payout_id, number, connection_id, provider, key, submission_id, state, exposure,
                                sent_at, last_sent_at, updated_at, route, evidence_id, paid_late_at)
           select a.account_id, e.attempt_id, a.payout_id, 99, a.connection_id, a.provider, 'earlier' || a.key, a.submission_id,
                  'failed', 'closed', now(), now(), now(), a.route, e.id, now()
             from attempt a join evidence e on e.account_id = a.account_id where a.payout_id = $1""", payout["id"],
    )  # fmt: skip
    refused = await resolve(shop, payout, said("not_sent"), by=ana)
    assert refused.refusal == CONFLICT
    assert "pay it twice" in refused.error["message"]
    assert (await resolve(shop, payout, said("failed"), by=ana)).status == 202


# --- races and repetitions ---


async def test_one_of_two_confirmations_wins(world, shop, ana, budi):
    payout = await shop.on_desk()
    start = await shop.balance()
    await resolve(shop, payout, said("failed"), by=ana)
    people = [budi, *[await shop.person(f"person {n}") for n in range(8)]]
    answers = await asyncio.gather(*(resolve(shop, payout, said("failed"), by=who) for who in people))
    assert sorted(a.status for a in answers) == [200] + [409] * 8
    assert {a.refusal for a in answers if a.status == 409} == {CONFLICT}
    assert (await steps_of(shop, payout)).count("payout.failed") == 1
    assert (await shop.balance())["available"] == start["available"] + payout["amount"]


async def test_of_two_different_proposals_at_once_one_stands(shop, ana, budi):
    """F44: two people resolve one payout differently at the same moment."""
    payout = await shop.on_desk()
    answers = await asyncio.gather(resolve(shop, payout, said("paid"), by=ana), resolve(shop, payout, said("failed"), by=budi))
    assert sorted(a.status for a in answers) == [202, 409]
    [lost] = [a for a in answers if a.status == 409]
    assert lost.refusal == CONFLICT
    assert lost.error["details"][0]["resolution"] == (await shop.payout(payout["id"]))["resolution"]


async def test_a_double_click_is_one_proposal(shop, ana):
    payout = await shop.on_desk()
    answers = await asyncio.gather(*(resolve(shop, payout, by=ana) for _ in range(6)))
    assert sorted(a.status for a in answers) == [202] + [409] * 5
    assert {a.error["code"] for a in answers if a.status == 409} == {"second_person_needed"}
    assert (await steps_of(shop, payout)).count("payout.resolution_proposed") == 1


async def test_both_calls_are_replayed(world, shop, ana, budi):
    payout = await shop.on_desk()
    first = await asyncio.gather(*(resolve(shop, payout, by=ana, key="one") for _ in range(5)))
    assert {a.status for a in first} == {202}
    assert sum(a.meta.get("idempotentReplayed", False) for a in first) == 4
    assert len({a.data["resolution"]["id"] for a in first}) == 1
    second = await asyncio.gather(*(resolve(shop, payout, by=budi, key="two") for _ in range(5)))
    assert {(a.status, a.data["phase"]) for a in second} == {(200, "paid")}
    assert sum(a.meta.get("idempotentReplayed", False) for a in second) == 4
    before = await everything(world.gateways[0].pool)
    for key, who in (("one", ana), ("two", budi)):
        again = await resolve(shop, payout, by=who, key=key)
        assert (again.status, again.data["phase"], again.meta["idempotentReplayed"]) == (200, "paid", True)
    assert await everything(world.gateways[0].pool) == before


async def test_a_key_is_one_persons_word_about_one_payout(shop, ana, budi):
    payout, other = await shop.on_desk(), await shop.on_desk()
    assert (await resolve(shop, payout, by=ana, key="k")).status == 202
    mismatch = (409, "idempotency_mismatch", "Idempotency-Key")
    assert (await resolve(shop, payout, by=budi, key="k")).refusal == mismatch, "not the first one's repetition"
    assert (await resolve(shop, other, by=ana, key="k")).refusal == mismatch
    assert (await resolve(shop, payout, said("failed"), by=ana, key="k")).refusal == mismatch
    assert (await resolve(shop, payout, by=budi)).data["phase"] == "paid"


# --- what the database refuses although the code asks for it ---


async def test_the_database_holds_the_rules_too(world, shop, ana, budi):
    payout = await shop.on_desk()
    proposal = (await resolve(shop, payout, by=ana)).data["resolution"]
    pool = world.gateways[0].pool
    confirm = "update decision set state = 'confirmed', confirmed_by = '{}', confirmed_person = '{}', confirmed_at = now()"
    row = (await open_proposals(pool, shop.account_id, [payout["id"]]))[payout["id"]]
    for statement, complaint in (
        (confirm.format("key_other", "ana"), "check constraint"),
        (confirm.format(row.proposed_by, "Budi"), "check constraint"),
        ("update decision set state = 'confirmed'", "check constraint"),
        ("update decision set outcome = 'failed'", "never rewritten"),
        ("update decision set evidence = 'x', state = 'void'", "never rewritten"),
        ("delete from decision", "history"),
        ("truncate decision", "history"),
    ):
        where = f" where id = '{proposal['id']}'" if statement.startswith(("update", "delete")) else ""
        with pytest.raises(asyncpg.PostgresError, match=complaint):
            await pool.execute(statement + where)
    with pytest.raises(asyncpg.CheckViolationError, match="second person"):
        await pool.execute(
            """insert into report (account_id, attempt_id, source, kind, detail, changed, digest)
               select account_id, attempt_id, 'key:x', 'Decision', jsonb_build_object('decision', id, 'outcome', outcome), true,
                      'x' from decision where id = $1""", proposal["id"],
        )  # fmt: skip
    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute(
            """insert into decision (account_id, id, payout_id, attempt_id, attempt_state, attempt_sends, outcome, evidence,
                                     reason, proposed_by, proposed_person)
               select account_id, 'dec_2', payout_id, attempt_id, attempt_state, attempt_sends, outcome, evidence, reason,
                      proposed_by, proposed_person from decision where id = $1""", proposal["id"],
        )  # fmt: skip
    assert (await resolve(shop, payout, by=budi)).status == 200
    for again in ("proposed", "void"):
        with pytest.raises(asyncpg.CheckViolationError, match="ends once"):
            await pool.execute("update decision set state = $2 where id = $1", proposal["id"], again)
