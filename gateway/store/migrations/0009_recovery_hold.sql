-- After a restore from an older backup, or the promotion of a replica that lagged, the database has forgotten attempts that
-- were sent. While a hold is open nothing goes out, and what may have been forgotten is looked up, payout by payout.

create table recovery_hold (
    id                  text primary key,
    reason              text not null,
    declared_by         text not null,                 -- a person, or the process that noticed
    opened_at           timestamptz not null default now(),
    last_number         integer not null check (last_number > 0), -- attempts are asked for up to this number at least
    listed_at           timestamptz,                   -- when the payouts to be looked up were written down
    unknown_accepted_by text,                          -- who sent to the desk what could not be looked up
    unknown_accepted_at timestamptz,
    released_first_by   text,
    released_first_at   timestamptz,
    released_second_by  text,
    released_second_at  timestamptz,
    check ((unknown_accepted_by is null) = (unknown_accepted_at is null)),
    check ((released_first_by is null) = (released_first_at is null)),
    check ((released_second_by is null) = (released_second_at is null)),
    check (released_second_at is null or (released_first_at is not null and listed_at is not null)),
    constraint recovery_hold_two_people check (lower(released_first_by) <> lower(released_second_by))
);
create unique index recovery_hold_one on recovery_hold ((true)) where released_second_at is null;

-- One row for each payout that was not over when a hold was opened. While it waits, the payout gets no attempt, also after
-- the release: it may have gone on through another connection, and the database does not know.
create table recovery_lookup (
    account_id text not null,
    payout_id  text not null,
    hold_id    text not null references recovery_hold,
    state      text not null default 'waiting' check (state in ('waiting', 'cleared', 'found', 'desk', 'over')),
    due_at     timestamptz not null default now(),
    tries      integer not null default 0,
    detail     text,                                   -- what was found out last
    updated_at timestamptz not null default now(),
    primary key (account_id, payout_id, hold_id),
    foreign key (account_id, payout_id) references payout (account_id, id)
);
create index recovery_lookup_waiting on recovery_lookup (account_id, payout_id) where state = 'waiting';
create index recovery_lookup_due on recovery_lookup (due_at) where state = 'waiting';
create index recovery_lookup_of_hold on recovery_lookup (hold_id, state);

-- Set on an attempt that the database had forgotten and a hold took over. It is never sent by us.
alter table attempt add column adopted_for text references recovery_hold;

-- Where this database stands: which PostgreSQL it is in, its timeline, how much of its log is on disk, and whether it knows
-- an attempt, by its key: the one index that no plan can miss. The timeline comes from the log's file name, since the
-- control file learns it only at the next checkpoint.
create function database_position(p_key text)
returns table (system bigint, timeline integer, lsn bigint, at timestamptz, knows boolean) language sql stable as $$
    select c.system_identifier, ('x' || left(pg_walfile_name(l.lsn), 8))::bit(32)::integer, (l.lsn - '0/0'::pg_lsn)::bigint,
           now(), p_key is null or exists (select from attempt a where a.key = p_key)
      from pg_control_system() c, pg_current_wal_flush_lsn() l(lsn)
$$;

-- The last line: whatever a process believes, it stores no attempt while a hold is open, and sends none that is not stored.
create function refuse_attempts_on_hold() returns trigger language plpgsql as $$
begin
    if exists (select from recovery_hold h where h.released_second_at is null)
       and exists (select from sent s where s.adopted_for is null) then
        raise exception 'a recovery hold is open: nothing is sent before two people have released it'
            using errcode = 'check_violation', constraint = 'attempt_waits_for_release';
    end if;
    if exists (select from recovery_lookup l where l.state = 'waiting')
       and exists (select from sent s join recovery_lookup l on l.account_id = s.account_id and l.payout_id = s.payout_id
                    where l.state = 'waiting') then
        raise exception 'a payout waits to be looked up after a restore: it gets no attempt before'
            using errcode = 'check_violation', constraint = 'attempt_waits_for_lookup';
    end if;
    return null;
end $$;
create trigger attempt_waits_for_release after insert on attempt
    referencing new table as sent for each statement execute function refuse_attempts_on_hold();

create function refuse_adopted_sent() returns trigger language plpgsql as $$
begin
    raise exception 'attempt %: what was taken over after a restore is never sent', new.id using errcode = 'check_violation';
end $$;
create trigger attempt_adopted_is_never_sent before update on attempt for each row
    when (new.adopted_for is distinct from old.adopted_for or (new.adopted_for is not null and new.sends <> old.sends))
    execute function refuse_adopted_sent();
alter table attempt add constraint attempt_adopted_was_sent check (adopted_for is null or (sends = 1 and state <> 'sending'));

-- Its money is not given back on what the database remembers: an attempt that it has forgotten may have paid.
create function refuse_end_before_lookup() returns trigger language plpgsql as $$
begin
    if exists (select from recovery_lookup l
                where l.account_id = new.account_id and l.payout_id = new.id and l.state = 'waiting')
       and not exists (select from attempt a where a.account_id = new.account_id and a.payout_id = new.id
                          and a.exposure in ('open', 'spent')) then
        raise exception 'payout % waits to be looked up after a restore: it cannot be % before', new.id, new.phase
            using errcode = 'check_violation', constraint = 'payout_waits_for_lookup';
    end if;
    return new;
end $$;
create trigger payout_waits_for_lookup before update on payout for each row
    when (old.phase in ('queued', 'needs_review') and new.phase in ('failed', 'cancelled'))
    execute function refuse_end_before_lookup();

create function refuse_other_hold() returns trigger language plpgsql as $$
begin
    raise exception 'recovery hold %: what was declared is never rewritten, and it is released once', new.id
        using errcode = 'check_violation';
end $$;
create trigger recovery_hold_is_as_declared before update on recovery_hold for each row
    when (old.released_second_at is not null
          or (old.id, old.reason, old.declared_by, old.opened_at)
             is distinct from (new.id, new.reason, new.declared_by, new.opened_at)
          or (old.released_first_at is not null and (old.released_first_by, old.released_first_at)
              is distinct from (new.released_first_by, new.released_first_at))
          or (old.listed_at is not null and old.listed_at is distinct from new.listed_at)
          or new.last_number < old.last_number)
    execute function refuse_other_hold();

create function refuse_early_release() returns trigger language plpgsql as $$
begin
    if exists (select from recovery_lookup l join payout p on p.account_id = l.account_id and p.id = l.payout_id
                where l.hold_id = new.id and l.state = 'waiting' and p.phase = 'queued') then
        raise exception 'recovery hold %: payouts are queued that nobody has looked up', new.id using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger recovery_hold_ends_looked_up before update on recovery_hold for each row
    when (old.released_second_at is null and new.released_second_at is not null)
    execute function refuse_early_release();
create trigger recovery_hold_is_kept before delete on recovery_hold for each row execute function refuse_change();
create trigger recovery_hold_is_not_emptied before truncate on recovery_hold execute function refuse_change();
create trigger recovery_lookup_is_kept before delete on recovery_lookup for each row execute function refuse_change();
create trigger recovery_lookup_is_not_emptied before truncate on recovery_lookup execute function refuse_change();
