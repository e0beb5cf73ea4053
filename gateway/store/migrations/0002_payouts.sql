-- Payouts, their attempts, and everything that was ever said about them.

create table payout (
    account_id           text not null,              -- no foreign key: accounts are never deleted, and its check would
                                                     -- lock the account's row in every create
    id                   text not null,
    amount_minor         bigint not null check (amount_minor > 0),
    currency             text not null,
    destination_type     text not null check (destination_type in ('bank_account', 'card', 'balance')),
    bank_code            text,
    bank_name            text,
    bank_account_number  text,
    bank_account_holder  text,
    bank_country         text,
    card_id              text,
    provider             text not null,              -- the route that was chosen; a failover chooses another
    connection_id        text not null,
    method               text not null,
    pin_provider         text,                       -- what the request named: a failover never leaves it
    pin_connection_id    text,
    route                jsonb not null,             -- why this connection and none of the others, in codes
    merchant_reference   text,
    note                 text,
    statement_descriptor text,
    metadata             jsonb,
    phase                text not null check (phase in ('queued', 'processing', 'needs_review', 'paid', 'returned',
                                                        'failed', 'cancelled')),
    status               text not null check (status in ('pending', 'in_transit', 'paid', 'failed', 'cancelled',
                                                         'returned')),
    seq                  integer not null,           -- number of the last event; every change compares and sets it
    head                 bytea not null,             -- hash of the last event
    attempt_id           text,                       -- the newest attempt
    paid_late_attempt_id text,                       -- the attempt that paid although its exposure had been closed
    tried_here           boolean not null default false, -- it has had an attempt at this connection
    due_at               timestamptz not null,       -- when a queued payout may be sent
    send_alone           boolean not null default false, -- never in one submission with others
    destination_digest   text,                       -- where the connection checks before paying: see destination_check
    check_outcome        text check (check_outcome in ('valid', 'warning', 'unanswered')), -- cleared to be sent
    destination_ref      text,                       -- what its first attempt names instead of the bank account
    review_reason        text,
    failure_code         text,
    failure_text         text,
    failure_provider_code text,                      -- the provider's own code and words when it failed, beside ours
    failure_provider_text text,
    reference            text,
    ledger_tx_id         text,
    created_at           timestamptz not null,
    updated_at           timestamptz not null,
    processed_at         timestamptz,
    completed_at         timestamptz,
    final_at             timestamptz,
    primary key (account_id, id)
);
create unique index payout_merchant_reference on payout (account_id, merchant_reference)
    where merchant_reference is not null;
create index payout_by_status on payout (account_id, status, id);
-- The queue. It must not lead with a column that changes, or claims slow down as the table grows.
create index payout_queue on payout (connection_id, due_at, id) where phase = 'queued';
create index payout_review on payout (account_id, id) where review_reason is not null;

-- Every idempotency key that was ever used, for ever: a key that expires is a payout that can be made twice.
create table request_key (
    account_id  text not null,
    key         text not null,
    fingerprint bytea not null,
    payout_id   text not null,
    primary key (account_id, key)
);

create table attempt (
    account_id     text not null,
    id             text not null,
    payout_id      text not null,
    number         integer not null,
    connection_id  text not null,
    provider       text not null,
    key            text not null,                    -- in its wire form, stored before the first byte
    submission_id  text not null,
    state          text not null check (state in ('sending', 'unconfirmed', 'not_sent', 'refused', 'pending',
                                                  'in_transit', 'paid', 'returned', 'failed', 'cancelled')),
    exposure       text not null check (exposure in ('open', 'spent', 'closed')),
    scheduled_slot integer,                          -- the slot it holds where a provider takes few at a time
    provider_ref   text,
    submission_ref text,
    check_at       timestamptz,                      -- when to read it back; while sending, the end of the lease
    checks         integer not null default 0,
    sends          integer not null default 1,
    sent_at        timestamptz not null,
    last_sent_at   timestamptz not null,
    updated_at     timestamptz not null,
    cancel_asked_at timestamptz,                     -- since when the provider is to be asked to cancel it
    moves_on       boolean not null default false,   -- asked so as to go on through another connection
    destination_ref text,                            -- what it named instead of the bank account: part of its bytes
    route           jsonb not null,                  -- why this connection was chosen for it
    evidence_id     bigint,                          -- the report that closed its exposure
    paid_late_at    timestamptz,                     -- when it was found to have paid although its exposure had been closed
    primary key (account_id, id),
    unique (account_id, payout_id, number),
    check (exposure <> 'closed' or evidence_id is not null),
    foreign key (account_id, payout_id) references payout (account_id, id),
    check (exposure = case when state in ('sending', 'unconfirmed', 'pending', 'in_transit') then 'open'
                           when state = 'paid' then 'spent' else 'closed' end)
);
-- Never pay twice: one attempt of a payout at most may have money possibly out.
create unique index attempt_one_exposure on attempt (account_id, payout_id) where exposure in ('open', 'spent');
create unique index attempt_key on attempt (key);
-- A provider that takes few payouts at a time: two processes cannot fill the same slot.
create unique index attempt_one_per_slot on attempt (connection_id, scheduled_slot)
    where scheduled_slot is not null and state in ('sending', 'unconfirmed', 'pending');
-- Open attempts are read until they are final; paid and closed ones are watched for what comes late.
create index attempt_due on attempt (check_at) where check_at is not null;
create index attempt_open on attempt (provider, state, sent_at) where exposure = 'open';
create index attempt_by_provider_ref on attempt (connection_id, provider_ref) where provider_ref is not null;
create index attempt_by_submission_ref on attempt (connection_id, submission_ref) where submission_ref is not null;

-- What we tell the merchant: every change of state, with who said so and in which words. Numbered without gaps.
create table event (
    account_id text not null,
    payout_id  text not null,
    seq        integer not null,
    id         text not null,
    type       text not null,
    phase      text not null,
    status     text not null,
    attempt_id text,
    source     text not null,
    reason     text not null,
    words      jsonb,
    evidence   text,                                 -- how the person who said it knows
    report_digest bytea,                             -- of the report that caused it
    created_at timestamptz not null,
    hash       bytea not null,                       -- over the event before it and all of the above: see event_hash
    primary key (account_id, payout_id, seq)
);

-- The chain of a payout's history. Whoever changes, removes or slips in an event has to change all that follow, and the
-- head in the payout's row.
create function event_hash(
    previous bytea, account_id text, payout_id text, seq integer, id text, type text, phase text, status text,
    attempt_id text, source text, reason text, words jsonb, evidence text, report_digest bytea, created_at timestamptz
) returns bytea language sql stable as $$
    select sha256(previous || convert_to(jsonb_build_array(account_id, payout_id, seq, id, type, phase, status, attempt_id,
        source, reason, words, evidence, encode(report_digest, 'hex'),
        (extract(epoch from created_at) * 1000000)::bigint)::text, 'UTF8'))
$$;

-- What providers and people told us, whether it changed anything or not. The evidence: only a row of this closes an exposure.
create table report (
    account_id text not null,
    attempt_id text not null,
    id         bigint generated always as identity,
    source     text not null,
    kind       text not null,
    detail     jsonb not null,
    changed    boolean not null,
    created_at timestamptz not null default now(),
    digest     bytea not null,
    primary key (account_id, attempt_id, id)
);
alter table attempt add constraint attempt_evidence
    foreign key (account_id, id, evidence_id) references report (account_id, attempt_id, id);

create function report_digest(account_id text, attempt_id text, source text, kind text, detail jsonb, created_at timestamptz)
returns bytea language sql stable as $$
    select sha256(convert_to(jsonb_build_array(account_id, attempt_id, source, kind, detail,
        (extract(epoch from created_at) * 1000000)::bigint)::text, 'UTF8'))
$$;

-- Inbound webhooks: proven at the edge, stored raw, read later. The same bytes twice are one notice.
create table notice (
    account_id    text not null,
    connection_id text not null,
    digest        bytea not null,
    id            text not null,
    provider      text not null,
    body_sealed   bytea not null,                    -- sealed: it may hold account numbers and card tokens
    state         text not null default 'new' check (state in ('new', 'done', 'unreadable', 'unmatched')),
    tries         integer not null default 0,
    due_at        timestamptz not null default now(),
    detail        text,
    received_at   timestamptz not null default now(),
    primary key (account_id, connection_id, digest)
);
create index notice_due on notice (due_at) where state = 'new';

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'rows of % are history: they are never changed or deleted', tg_table_name;
end $$;

create trigger event_is_history before update or delete on event
    for each row execute function refuse_change();
create trigger report_is_history before update or delete on report
    for each row execute function refuse_change();
create trigger request_key_is_kept before update on request_key
    for each row execute function refuse_change();
