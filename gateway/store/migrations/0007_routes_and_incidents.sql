-- How payouts find their way, and what went wrong on it.

alter table account add column routing jsonb;        -- the routing policy as it was put; null = by priority

-- How a connection does, shared by all processes. Nothing about the money depends on it.
create table connection_health (
    account_id    text not null,
    connection_id text not null,
    circuit_open  boolean not null,
    saturated     boolean not null,
    success       double precision,                  -- share of recent sends that the provider took, 0 to 1
    paid_s        double precision,                  -- learned seconds from sending to paid
    learned_at    timestamptz not null,
    primary key (account_id, connection_id)          -- no foreign key: this may outlive its connection and harms nobody
);

-- What must not happen and did, until a person has closed it. One open incident for one subject and kind.
create table incident (
    account_id    text not null,
    id            text not null,
    kind          text not null check (kind in ('paid_late', 'unknown_payout', 'missing_payout', 'different_payout')),
    subject       text not null,                     -- our attempt, or the provider's id of what we do not know
    connection_id text not null,
    payout_id     text,
    attempt_id    text,
    amount_minor  bigint,
    currency      text,
    detail        text not null,
    opened_at     timestamptz not null default now(),
    closed_at     timestamptz,
    closed_by     text,
    closed_as     text,
    closed_reason text,
    primary key (account_id, id),
    check ((closed_at is null) = (closed_by is null))
);
create unique index incident_once on incident (account_id, kind, connection_id, subject);
create index incident_open on incident (opened_at) where closed_at is null;
create trigger incident_is_kept before delete on incident for each row execute function refuse_change();
