-- Comparing our payouts with what providers list, and how incidents end.

alter table connection
    add column look_back_at timestamptz,             -- when to compare next; while somebody compares, when to try again
    add column looked_back_until timestamptz;        -- what was sent before has been compared with a whole list

-- Attempts that a provider's list showed in another state than ours, until a later look-back confirms it or not.
create table lookback_doubt (
    account_id    text not null,
    connection_id text not null,
    attempt_id    text not null,
    ours          text not null,
    theirs        text not null,
    seen_at       timestamptz not null default now(),
    primary key (account_id, connection_id, attempt_id),
    foreign key (account_id, attempt_id) references attempt (account_id, id)
);

-- People name an incident by its id alone.
create unique index incident_by_id on incident (id);
alter table incident
    add constraint incident_end check (closed_as in ('recovered', 'written_off', 'explained')),
    add constraint incident_end_is_whole check (num_nonnulls(closed_at, closed_by, closed_as, closed_reason) in (0, 4)),
    -- Money that somebody owes us comes back or is written off; what moved no books is explained.
    add constraint incident_end_fits check ((kind = 'paid_late') = (closed_as in ('recovered', 'written_off'))),
    add constraint incident_money check (kind <> 'paid_late' or (amount_minor is not null and currency is not null));
create trigger incident_is_as_opened before update on incident for each row
    when (old.closed_at is not null
          or (old.account_id, old.id, old.kind, old.subject, old.connection_id, old.payout_id, old.attempt_id,
              old.amount_minor, old.currency, old.detail, old.opened_at)
             is distinct from (new.account_id, new.id, new.kind, new.subject, new.connection_id, new.payout_id, new.attempt_id,
              new.amount_minor, new.currency, new.detail, new.opened_at))
    execute function refuse_change();
create trigger incident_is_not_emptied before truncate on incident execute function refuse_change();
