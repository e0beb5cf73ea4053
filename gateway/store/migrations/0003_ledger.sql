-- Double entry per account and currency. Books: funding (the world outside), available, in_transit, paid_out,
-- and receivable: what left although it was not to be paid any more, until it comes back or is written off.

create table balance (
    account_id text not null,
    currency   text not null,
    available  bigint not null default 0 check (available >= 0),
    in_transit bigint not null default 0 check (in_transit >= 0),
    paid_out   bigint not null default 0 check (paid_out >= 0),
    receivable bigint not null default 0 check (receivable >= 0),
    primary key (account_id, currency)
);

create table ledger_entry (
    account_id text not null,
    tx_id      text not null,
    line       smallint not null,
    kind       text not null check (kind in ('credit', 'reserve', 'settle', 'release', 'return', 'paid_late', 'recover',
                                            'write_off')),
    book       text not null check (book in ('funding', 'available', 'in_transit', 'paid_out', 'receivable', 'loss')),
    currency   text not null,
    debit      bigint not null check (debit >= 0),
    credit     bigint not null check (credit >= 0),
    payout_id  text,
    memo       text,
    posted_at  timestamptz not null,
    primary key (account_id, tx_id, line),
    check ((debit = 0) <> (credit = 0))
);

-- Whoever brings in money under a reference brings it in once.
create table ledger_credit (
    account_id  text not null,
    reference   text not null,
    fingerprint bytea not null,
    tx_id       text not null,
    primary key (account_id, reference)
);

create trigger ledger_entry_is_history before update or delete on ledger_entry
    for each row execute function refuse_change();
create trigger ledger_credit_is_history before update or delete on ledger_credit
    for each row execute function refuse_change();

-- A transaction is written by one statement and balances in it; since entries never change, it balances for ever.
-- Checked a statement at a time: a row at a time would cost more than all the rest of a create.
create function check_ledger_balances() returns trigger language plpgsql as $$
declare
    bad record;
begin
    select account_id, tx_id, currency, sum(debit) as debits, sum(credit) as credits into bad
      from written group by account_id, tx_id, currency having sum(debit) <> sum(credit) limit 1;
    if found then
        raise exception 'ledger transaction % does not balance: % debited, % credited', bad.tx_id, bad.debits, bad.credits
            using errcode = 'check_violation';
    end if;
    return null;
end $$;

create trigger ledger_entry_balances after insert on ledger_entry
    referencing new table as written for each statement execute function check_ledger_balances();
