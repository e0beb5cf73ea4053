-- Accounts, keys, connections and cards. Every key leads with the account.

create table account (
    id               text primary key,
    name             text not null,
    default_currency text not null,
    bank_account     jsonb,                          -- the default destination; null = unconfigured
    created_at       timestamptz not null default now()
);

create table api_key (
    account_id    text not null references account,
    id            text not null,
    kind          text not null check (kind in ('bearer', 'signing')),
    lookup        text not null,                     -- bearer: keyed hash of the key; signing: the public key id
    person        text not null,                     -- whose key it is: two keys of one person are one person
    secret_sealed bytea,                             -- signing only: has to stay readable, so sealed and not hashed
    scopes        text[] not null,
    created_at    timestamptz not null default now(),
    revoked_at    timestamptz,
    primary key (account_id, id),
    check ((kind = 'signing') = (secret_sealed is not null))
);
-- Authentication comes before the account is known; lookups are random or hashed, so this tells nobody anything.
create unique index api_key_lookup on api_key (lookup);

create table connection (
    account_id     text not null references account,
    id             text not null,
    provider       text not null,
    name           text not null,
    priority       integer not null default 100,     -- lower is preferred
    currencies     text[] not null default '{}',     -- what it is limited to; empty = all its provider takes
    rate_per_s     double precision check (rate_per_s > 0), -- its own pace; null = as its contract says
    settings       jsonb not null,
    secrets_sealed bytea not null,
    paused_until   timestamptz,                      -- set when the provider refuses our credentials
    paused_reason  text,
    balance_read_at timestamptz,                     -- when its balance at the provider was last asked for
    created_at     timestamptz not null default now(),
    primary key (account_id, id)
);
-- A notice names only the connection.
create unique index connection_by_id on connection (id);

create table card (
    account_id    text not null references account,
    id            text not null,
    connection_id text not null,
    request_key   text not null,
    fingerprint   bytea not null,
    state         text not null check (state in ('saving', 'active', 'failed', 'deleted')),
    token_sealed  bytea,
    customer_ref  text,
    brand         text,
    last4         text,
    failure_text  text,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    primary key (account_id, id),
    unique (account_id, request_key),
    foreign key (account_id, connection_id) references connection (account_id, id)
);
