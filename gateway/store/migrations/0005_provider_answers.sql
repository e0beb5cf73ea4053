-- What providers answer to other questions than payouts: whether a destination exists, what is on our balance there.

-- One row for each destination that a connection was asked about. The destination itself is not kept here, and not who
-- the bank says that its holder is: only a keyed hash, and the answer.
create table destination_check (
    account_id    text not null,
    connection_id text not null,
    digest        text not null,
    verdict       text not null default 'unknown' check (verdict in ('unknown', 'pending', 'valid', 'warning', 'invalid')),
    reference     text,                              -- theirs, of the check: a payout can name it instead of the account
    tries         integer not null default 0,
    due_at        timestamptz not null default now(), -- when to ask (again); while asking, the end of the lease
    asked_at      timestamptz,
    checked_at    timestamptz,                       -- when the answer came that ended it
    primary key (account_id, connection_id, digest),
    foreign key (account_id, connection_id) references connection (account_id, id)
);
create index destination_check_due on destination_check (due_at) where verdict in ('unknown', 'pending');

-- The payouts that wait for an answer: few, and only of connections that check before they pay.
create index payout_checking on payout (connection_id, destination_digest)
    where destination_digest is not null and check_outcome is null and not tried_here
      and phase in ('queued', 'needs_review');

create table provider_balance (
    account_id    text not null,
    connection_id text not null,
    currency      text not null,
    amount_minor  bigint not null,
    read_at       timestamptz not null,
    primary key (account_id, connection_id, currency),
    foreign key (account_id, connection_id) references connection (account_id, id)
);
