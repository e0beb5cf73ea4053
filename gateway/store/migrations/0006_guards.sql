-- What the database refuses although the code asks for it: the last line of "never pay twice" and "never lose one".
-- The tables of moves are those of gateway/lifecycle.py; a test compares them cell by cell.

create function attempt_may_move(from_state text, to_state text) returns boolean language sql immutable as $$
    select case from_state
        when 'sending'     then to_state in ('unconfirmed', 'not_sent', 'refused', 'pending', 'in_transit', 'paid', 'failed',
                                             'cancelled', 'returned')
        when 'unconfirmed' then to_state in ('not_sent', 'pending', 'in_transit', 'paid', 'failed', 'cancelled', 'returned')
        when 'pending'     then to_state in ('not_sent', 'in_transit', 'paid', 'failed', 'cancelled', 'returned')
        when 'in_transit'  then to_state in ('not_sent', 'paid', 'failed', 'cancelled', 'returned')
        when 'paid'        then to_state = 'returned'
        -- Paid after all, before anything else was tried; attempt_one_exposure refuses it when something was.
        when 'not_sent'    then to_state = 'paid'
        when 'refused'     then to_state = 'paid'
        when 'failed'      then to_state = 'paid'
        else false
    end
$$;

create function payout_may_move(from_phase text, to_phase text) returns boolean language sql immutable as $$
    select case from_phase
        when 'queued'       then to_phase in ('processing', 'needs_review', 'paid', 'failed', 'cancelled')
        when 'processing'   then to_phase in ('queued', 'needs_review', 'paid', 'returned', 'failed', 'cancelled')
        when 'needs_review' then to_phase in ('queued', 'paid', 'returned', 'failed', 'cancelled')
        when 'paid'         then to_phase = 'returned'
        else false
    end
$$;

create function refuse_attempt_move() returns trigger language plpgsql as $$
begin
    raise exception 'attempt % may not move from % to %', new.id, old.state, new.state using errcode = 'check_violation';
end $$;
create trigger attempt_moves before update on attempt for each row
    when (old.state <> new.state and not attempt_may_move(old.state, new.state)) execute function refuse_attempt_move();

create function refuse_rewriting() returns trigger language plpgsql as $$
begin
    raise exception '% %: what was asked for and what was sent are never rewritten', tg_table_name, new.id
        using errcode = 'check_violation';
end $$;
create trigger attempt_is_as_sent before update on attempt for each row
    when ((old.payout_id, old.number, old.connection_id, old.provider, old.key, old.sent_at)
          is distinct from (new.payout_id, new.number, new.connection_id, new.provider, new.key, new.sent_at)
          or (old.exposure = new.exposure and old.evidence_id is distinct from new.evidence_id))
    execute function refuse_rewriting();

create function refuse_payout_move() returns trigger language plpgsql as $$
begin
    raise exception 'payout % may not move from % to %', new.id, old.phase, new.phase using errcode = 'check_violation';
end $$;
create trigger payout_moves before update on payout for each row
    when (old.phase <> new.phase and not payout_may_move(old.phase, new.phase)) execute function refuse_payout_move();
create trigger payout_is_as_asked before update on payout for each row
    when ((old.amount_minor, old.currency, old.destination_type, old.bank_code, old.bank_account_number,
           old.bank_account_holder, old.card_id, old.created_at)
          is distinct from (new.amount_minor, new.currency, new.destination_type, new.bank_code, new.bank_account_number,
           new.bank_account_holder, new.card_id, new.created_at))
    execute function refuse_rewriting();
create function refuse_unnumbered() returns trigger language plpgsql as $$
begin
    raise exception 'payout % may not move without an event', new.id using errcode = 'check_violation';
end $$;
create trigger payout_moves_by_events before update on payout for each row
    when ((old.phase, old.status, old.attempt_id, old.connection_id, old.review_reason)
          is distinct from (new.phase, new.status, new.attempt_id, new.connection_id, new.review_reason)
          and (new.seq <> old.seq + 1 or new.head = old.head))
    execute function refuse_unnumbered();

-- A payout goes back to the queue, to another connection or to an end without money only when nothing of it may be out.
-- At the end of the transaction, since payout and attempt are written one after the other.
create function refuse_release() returns trigger language plpgsql as $$
begin
    -- To the connection of the attempt that is out it may go: that is where its money turned out to be.
    if exists (select 1 from attempt a where a.account_id = new.account_id and a.payout_id = new.id
                  and a.exposure in ('open', 'spent')
                  and (new.phase in ('queued', 'failed', 'cancelled') or a.connection_id <> new.connection_id)) then
        raise exception 'payout % cannot be %: money of an attempt may be out', new.id, new.phase
            using errcode = 'check_violation';
    end if;
    return null;
end $$;
create constraint trigger payout_releases_nothing_that_is_out after update on payout
    deferrable initially deferred for each row
    when ((new.phase in ('queued', 'failed', 'cancelled') and old.phase <> new.phase) or old.connection_id <> new.connection_id)
    execute function refuse_release();

create trigger payout_is_kept before delete on payout for each row execute function refuse_change();
create trigger attempt_is_kept before delete on attempt for each row execute function refuse_change();
create trigger payout_is_not_emptied before truncate on payout execute function refuse_change();
create trigger attempt_is_not_emptied before truncate on attempt execute function refuse_change();
create trigger event_is_not_emptied before truncate on event execute function refuse_change();
create trigger report_is_not_emptied before truncate on report execute function refuse_change();
create trigger ledger_entry_is_not_emptied before truncate on ledger_entry execute function refuse_change();
