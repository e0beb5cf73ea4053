-- The desk: what people say of an attempt that nobody else can explain. One person proposes, another one confirms.

create table decision (
    account_id       text not null,
    id               text not null,
    payout_id        text not null,
    attempt_id       text not null,
    attempt_state    text not null,                  -- when it was proposed: of an attempt that has moved, or that was sent
    attempt_sends    integer not null,               -- again since, it says nothing
    outcome          text not null check (outcome in ('paid', 'failed', 'returned', 'not_sent')),
    evidence         text not null,
    reason           text not null,
    proposed_by      text not null,                  -- the key, and whose it is
    proposed_person  text not null,
    proposed_at      timestamptz not null default now(),
    state            text not null default 'proposed' check (state in ('proposed', 'confirmed', 'withdrawn', 'void')),
    confirmed_by     text,
    confirmed_person text,
    confirmed_at     timestamptz,
    primary key (account_id, id),
    foreign key (account_id, payout_id) references payout (account_id, id),
    foreign key (account_id, attempt_id) references attempt (account_id, id),
    check (num_nonnulls(confirmed_by, confirmed_person, confirmed_at) = case state when 'confirmed' then 3 else 0 end),
    -- Two people, and not one with two keys.
    check (confirmed_by <> proposed_by and lower(confirmed_person) <> lower(proposed_person))
);
create unique index decision_open on decision (account_id, payout_id) where state = 'proposed';

create function refuse_other_decision() returns trigger language plpgsql as $$
begin
    raise exception 'decision %: what was proposed is never rewritten, and ends once', new.id using errcode = 'check_violation';
end $$;
create trigger decision_is_as_proposed before update on decision for each row
    when (old.state <> 'proposed'
          or (old.account_id, old.id, old.payout_id, old.attempt_id, old.attempt_state, old.attempt_sends, old.outcome,
              old.evidence, old.reason, old.proposed_by, old.proposed_person, old.proposed_at)
             is distinct from (new.account_id, new.id, new.payout_id, new.attempt_id, new.attempt_state, new.attempt_sends,
              new.outcome, new.evidence, new.reason, new.proposed_by, new.proposed_person, new.proposed_at))
    execute function refuse_other_decision();
create trigger decision_is_kept before delete on decision for each row execute function refuse_change();
create trigger decision_is_not_emptied before truncate on decision execute function refuse_change();

-- A payout that leaves the desk in another way takes its proposal with it. At the end of the transaction, since the one
-- that confirms it takes the payout off the desk too.
create function void_proposal() returns trigger language plpgsql as $$
begin
    update decision d set state = 'void'
     where d.account_id = new.account_id and d.payout_id = new.id and d.state = 'proposed';
    return null;
end $$;
create constraint trigger payout_leaves_the_desk after update on payout
    deferrable initially deferred for each row
    when (old.review_reason is not null and new.review_reason is null)
    execute function void_proposal();

-- What people decided is evidence only when two of them did. At the end of the transaction, since the confirmation is
-- written after the change that it allows.
create function refuse_unconfirmed() returns trigger language plpgsql as $$
begin
    if not exists (select 1 from decision d where d.account_id = new.account_id and d.id = new.detail->>'decision'
                      and d.attempt_id = new.attempt_id and d.state = 'confirmed' and d.outcome = new.detail->>'outcome') then
        raise exception 'attempt %: a decision is evidence only when a second person has confirmed it', new.attempt_id
            using errcode = 'check_violation';
    end if;
    return null;
end $$;
create constraint trigger report_of_two_people after insert on report
    deferrable initially deferred for each row
    when (new.kind = 'Decision')
    execute function refuse_unconfirmed();
