-- The two gathered writes: many creates, or many changes, in one statement and one commit, with an answer for each row.

-- Creates payouts. Locks in one order (keys sorted, then balances sorted), so that flushes wait but never deadlock.
-- Outcome of a row: created | replayed | key_reused | reference_taken | insufficient.
create function create_payouts(
    p_account text[], p_key text[], p_fingerprint bytea[], p_id text[], p_amount bigint[], p_currency text[],
    p_destination_type text[], p_bank_code text[], p_bank_name text[], p_bank_number text[], p_bank_holder text[],
    p_card_id text[], p_provider text[], p_connection text[], p_method text[], p_reference text[], p_note text[],
    p_descriptor text[], p_metadata text[], p_linger double precision[], p_source text[], p_reason text[],
    p_event_id text[], p_tx_id text[], p_country text[], p_pin_provider text[], p_pin_connection text[], p_route text[],
    p_now timestamptz
) returns table (ord integer, outcome text, payout_id text) language plpgsql
set enable_hashjoin = on -- the rows of one call are joined with each other here, and no table is
as $$
declare
    fresh      integer[];   -- rows whose key was not known before
    accepted   integer[];
    kept       integer[];   -- rows that became payouts
    heads      bytea[];     -- the hash of the first event of each of them
    spendable  bigint;
    needed     bigint;
    r          record;
    j          integer;
    n          integer := cardinality(p_id);
begin
    with given as (
        insert into request_key (account_id, key, fingerprint, payout_id)
        select p_account[i], p_key[i], p_fingerprint[i], p_id[i] from generate_series(1, n) i
         order by p_account[i], p_key[i], i
        on conflict do nothing returning request_key.payout_id
    )
    -- The same request twice at the same moment has the same id twice: the first of them is made.
    select coalesce(array_agg(first.i), '{}') into fresh
      from (select min(i) as i from generate_series(1, n) i join given on given.payout_id = p_id[i] group by p_id[i]) first;

    if cardinality(fresh) < n then
        return query
            select i, case when k.fingerprint = p_fingerprint[i] then 'replayed' else 'key_reused' end, k.payout_id
              from generate_series(1, n) i
              join request_key k on k.account_id = p_account[i] and k.key = p_key[i]
             where i <> all (fresh);
    end if;

    accepted := fresh;
    for r in
        select b.account_id, b.currency, b.available from balance b
         where (b.account_id, b.currency) in (select p_account[i], p_currency[i] from unnest(fresh) i)
         order by b.account_id, b.currency for update
    loop
        select sum(p_amount[i]) into needed from unnest(fresh) i
         where p_account[i] = r.account_id and p_currency[i] = r.currency;
        if needed > r.available then
            -- Not enough for all: give to each in the order of arrival what is still there.
            spendable := r.available;
            for j in select i from unnest(fresh) i
                      where p_account[i] = r.account_id and p_currency[i] = r.currency order by i
            loop
                if p_amount[j] <= spendable then
                    spendable := spendable - p_amount[j];
                else
                    accepted := array_remove(accepted, j);
                end if;
            end loop;
        end if;
    end loop;
    -- An account without a balance row in this currency has nothing to spend.
    select coalesce(array_agg(i), '{}') into accepted from unnest(accepted) i
     where exists (select 1 from balance b where b.account_id = p_account[i] and b.currency = p_currency[i]);

    with made as (
        insert into payout (account_id, id, amount_minor, currency, destination_type, bank_code, bank_name,
                bank_account_number, bank_account_holder, bank_country, card_id, provider, connection_id, method,
                pin_provider, pin_connection_id, route, merchant_reference, note, statement_descriptor, metadata, phase, status,
                seq, head, due_at, created_at, updated_at)
        select p_account[i], p_id[i], p_amount[i], p_currency[i], p_destination_type[i], p_bank_code[i], p_bank_name[i],
               p_bank_number[i], p_bank_holder[i], p_country[i], p_card_id[i], p_provider[i], p_connection[i], p_method[i],
               p_pin_provider[i], p_pin_connection[i], p_route[i]::jsonb, p_reference[i], p_note[i], p_descriptor[i],
               p_metadata[i]::jsonb, 'queued', 'pending', 1,
               event_hash('', p_account[i], p_id[i], 1, p_event_id[i], 'payout.created', 'queued', 'pending', null,
                          p_source[i], p_reason[i], null, null, null, p_now),
               p_now + make_interval(secs => p_linger[i]), p_now, p_now
          from unnest(accepted) i order by p_account[i], p_reference[i], i
        on conflict (account_id, merchant_reference) where merchant_reference is not null do nothing
        returning payout.id, payout.head
    )
    select coalesce(array_agg(i), '{}'), array_agg(made.head) into kept, heads
      from unnest(accepted) i join made on made.id = p_id[i];

    if cardinality(kept) < cardinality(fresh) then
        -- A refused request does not use up its key.
        delete from request_key k using unnest(fresh) i
         where k.account_id = p_account[i] and k.key = p_key[i] and i <> all (kept);
        return query
            select i, case when i = any (accepted) then 'reference_taken' else 'insufficient' end, null::text
              from unnest(fresh) i where i <> all (kept);
    end if;

    insert into event (account_id, payout_id, seq, id, type, phase, status, source, reason, created_at, hash)
    select p_account[i], p_id[i], 1, p_event_id[i], 'payout.created', 'queued', 'pending', p_source[i], p_reason[i], p_now, h
      from unnest(kept, heads) k(i, h);

    insert into ledger_entry (account_id, tx_id, line, kind, book, currency, debit, credit, payout_id, posted_at)
    select p_account[i], p_tx_id[i], l.line, 'reserve', l.book, p_currency[i], l.debit * p_amount[i],
           l.credit * p_amount[i], p_id[i], p_now
      from unnest(kept) i,
           (values (1::smallint, 'available', 1, 0), (2::smallint, 'in_transit', 0, 1)) l(line, book, debit, credit);

    update balance b set available = b.available - s.total, in_transit = b.in_transit + s.total
      from (select p_account[i] as account_id, p_currency[i] as currency, sum(p_amount[i])::bigint as total
              from unnest(kept) i group by 1, 2) s
     where b.account_id = s.account_id and b.currency = s.currency;

    return query select i, 'created', p_id[i] from unnest(kept) i;
end $$;

-- One change of a payout and of the attempt it is about.
create type payout_change as (
    account_id text, payout_id text, expected_seq integer, request_key text, fingerprint text,
    phase text, status text, due_in_s double precision, alone boolean, review_reason text, failure_code text, failure_text text,
    failure_provider_code text, failure_provider_text text,
    reference text, processed boolean, completed boolean, final_in_s double precision,
    attempt_id text, attempt_state text, exposure text, provider_ref text, submission_ref text, check_in_s double precision,
    cancel_asked boolean, moves_on boolean, paid_late boolean,
    provider text, connection_id text, method text, route jsonb,
    report_kind text, report_detail jsonb, report_digest bytea, -- the last is not asked for: it is worked out here, once
    event_id text, event_type text, source text, reason text, words jsonb, evidence text,
    tx_id text, move text, amount_minor bigint, currency text
);

-- Which books a move debits and credits.
create function books_of(move text) returns text[] language sql immutable as $$
    select case move when 'settle'  then array['in_transit', 'paid_out']
                     when 'release' then array['in_transit', 'available']
                     when 'return'  then array['paid_out', 'available']
                     -- Money left for a payout that was not to be paid any more: somebody owes it to us.
                     when 'paid_late' then array['receivable', 'funding'] end
$$;

-- What the gathered writes below have in common: whoever waits for the rows of many payouts has locked the payouts before,
-- all in one order, so that two of them wait for each other and never deadlock. Others skip what is locked.

-- Keeps reports that changed nothing, with the provider's ids that they brought and when to read their attempts again.
create type stored_report as (
    account_id text, attempt_id text, source text, kind text, detail jsonb, provider_ref text, submission_ref text,
    check_in_s double precision, keeps_check boolean
);
create function record_reports(p_reports json) returns void language plpgsql as $$
declare
    given stored_report[];
begin
    select coalesce(array_agg(g), '{}') into given from json_populate_recordset(null::stored_report, p_reports) g;
    perform 1 from unnest(given) g
       join attempt a on a.account_id = g.account_id and a.id = g.attempt_id
       join payout p on p.account_id = a.account_id and p.id = a.payout_id
      order by p.account_id, p.id for update of p;
    update attempt a set
        provider_ref = coalesce(a.provider_ref, g.provider_ref),
        submission_ref = coalesce(a.submission_ref, g.submission_ref),
        check_at = case when g.keeps_check then a.check_at else now() + make_interval(secs => g.check_in_s) end
      from unnest(given) g
     where a.account_id = g.account_id and a.id = g.attempt_id;
    insert into report (account_id, attempt_id, source, kind, detail, changed, created_at, digest)
    select g.account_id, g.attempt_id, g.source, g.kind, g.detail, false, now(),
           report_digest(g.account_id, g.attempt_id, g.source, g.kind, g.detail, now())
      from unnest(given) g;
end $$;

-- Writes changes by compare-and-set on the payout's sequence: answers the payouts that were changed. Of a payout whose
-- sequence has moved on nothing is written, and the caller decides again from what is there now. At most one change
-- a payout in one call.
create function record_changes(p_changes json) returns table (changed_payout_id text) language plpgsql as $$
declare
    asked payout_change[];
    won   payout_change[];
    i     integer;
    moves boolean;  -- whether money moves between books in any of them; most statements below are for few changes
    keys  boolean;  -- whether any uses a request key
    late  boolean;  -- whether any paid late
begin
    select coalesce(array_agg(c), '{}'), bool_or(c.move is not null), bool_or(c.request_key is not null), bool_or(c.paid_late)
      into asked, moves, keys, late
      from json_populate_recordset(null::payout_change, p_changes) c;
    for i in 1 .. cardinality(asked) loop
        if asked[i].report_kind is not null then
            asked[i].report_digest := report_digest(asked[i].account_id, asked[i].attempt_id, asked[i].source,
                                                    asked[i].report_kind, asked[i].report_detail, now());
        end if;
    end loop;

    perform 1 from payout p join unnest(asked) c on p.account_id = c.account_id and p.id = c.payout_id
     order by p.account_id, p.id for update of p;

    with written as (
        update payout p set
            seq = p.seq + 1, phase = c.phase, status = c.status,
            head = event_hash(p.head, c.account_id, c.payout_id, c.expected_seq + 1, c.event_id, c.event_type, c.phase, c.status,
                              c.attempt_id, c.source, c.reason, c.words, c.evidence, c.report_digest, now()),
            provider = coalesce(c.provider, p.provider), connection_id = coalesce(c.connection_id, p.connection_id),
            method = coalesce(c.method, p.method), route = coalesce(c.route, p.route),
            paid_late_attempt_id = case when c.paid_late then c.attempt_id else p.paid_late_attempt_id end,
            tried_here = case when c.connection_id is null then p.tried_here else false end,
            -- What another connection found out about the bank account says nothing here.
            destination_digest = case when c.connection_id is null then p.destination_digest end,
            check_outcome = case when c.connection_id is null then p.check_outcome end,
            destination_ref = case when c.connection_id is null then p.destination_ref end,
            due_at = case when c.due_in_s is null then p.due_at else now() + make_interval(secs => c.due_in_s) end,
            send_alone = c.alone, review_reason = c.review_reason,
            -- The first explanation stays: what contradicts a final state later does not explain it.
            failure_code = coalesce(p.failure_code, c.failure_code),
            failure_text = case when p.failure_code is null then c.failure_text else p.failure_text end,
            failure_provider_code =
                case when p.failure_code is null then c.failure_provider_code else p.failure_provider_code end,
            failure_provider_text =
                case when p.failure_code is null then c.failure_provider_text else p.failure_provider_text end,
            reference = coalesce(c.reference, p.reference),
            ledger_tx_id = case when c.move = 'settle' then c.tx_id else p.ledger_tx_id end,
            processed_at = case when c.processed then coalesce(p.processed_at, now()) else p.processed_at end,
            completed_at = case when c.completed then coalesce(p.completed_at, now()) else p.completed_at end,
            final_at = case when c.final_in_s is null then p.final_at else now() + make_interval(secs => c.final_in_s) end,
            updated_at = now()
          from unnest(asked) c
         where p.account_id = c.account_id and p.id = c.payout_id and p.seq = c.expected_seq
        returning c.*
    )
    select coalesce(array_agg(row(written.*)::payout_change), '{}') into won from written;

    insert into report (account_id, attempt_id, source, kind, detail, changed, created_at, digest)
    select c.account_id, c.attempt_id, c.source, c.report_kind, c.report_detail, true, now(), c.report_digest
      from unnest(won) c where c.report_kind is not null;

    update attempt a set
        state = c.attempt_state, exposure = c.exposure,
        evidence_id = case when c.exposure = 'closed' and a.exposure <> 'closed' then
                          (select max(r.id) from report r where r.account_id = c.account_id and r.attempt_id = c.attempt_id
                              and r.digest = c.report_digest)
                      else a.evidence_id end,
        paid_late_at = case when c.paid_late then now() else a.paid_late_at end,
        provider_ref = coalesce(c.provider_ref, a.provider_ref), submission_ref = coalesce(c.submission_ref, a.submission_ref),
        check_at = now() + make_interval(secs => c.check_in_s),
        cancel_asked_at = case when c.cancel_asked then now() else a.cancel_asked_at end,
        moves_on = case when c.cancel_asked then c.moves_on else a.moves_on end, updated_at = now()
      from unnest(won) c
     where a.account_id = c.account_id and a.id = c.attempt_id and c.attempt_state is not null;

    insert into event (account_id, payout_id, seq, id, type, phase, status, attempt_id, source, reason, words, evidence,
                       report_digest, created_at, hash)
    select c.account_id, c.payout_id, c.expected_seq + 1, c.event_id, c.event_type, c.phase, c.status, c.attempt_id,
           c.source, c.reason, c.words, c.evidence, c.report_digest, now(), p.head
      from unnest(won) c join payout p on p.account_id = c.account_id and p.id = c.payout_id;

    if late then
        insert into incident (account_id, id, kind, subject, connection_id, payout_id, attempt_id, amount_minor, currency,
                              detail)
        select c.account_id, 'inc_' || substr(c.event_id, 5), 'paid_late', c.attempt_id, a.connection_id, c.payout_id,
               c.attempt_id, c.amount_minor, c.currency, c.reason
          from unnest(won) c join attempt a on a.account_id = c.account_id and a.id = c.attempt_id
         where c.paid_late on conflict do nothing;
    end if;

    if keys then
        insert into request_key (account_id, key, fingerprint, payout_id)
        select c.account_id, c.request_key, decode(c.fingerprint, 'hex'), c.payout_id
          from unnest(won) c where c.request_key is not null;
    end if;

    if moves then
        insert into ledger_entry (account_id, tx_id, line, kind, book, currency, debit, credit, payout_id, posted_at)
        select c.account_id, c.tx_id, l.line::smallint, c.move, (books_of(c.move))[l.line], c.currency,
               case l.line when 1 then c.amount_minor else 0 end, case l.line when 2 then c.amount_minor else 0 end,
               c.payout_id, now()
          from unnest(won) c cross join (values (1), (2)) l(line)
         where c.move is not null;

        -- In one order here too: several payouts of one batch share a balance with those of another.
        perform 1 from balance b
          where (b.account_id, b.currency) in (select c.account_id, c.currency from unnest(won) c where c.move is not null)
          order by b.account_id, b.currency for update;
        update balance b set
            available  = b.available  + m.available,
            in_transit = b.in_transit + m.in_transit,
            paid_out   = b.paid_out   + m.paid_out,
            receivable = b.receivable + m.receivable
          from (select c.account_id, c.currency,
                       sum(case when c.move in ('release', 'return') then c.amount_minor else 0 end)::bigint as available,
                       sum(case when c.move in ('settle', 'release') then -c.amount_minor else 0 end)::bigint as in_transit,
                       sum(case c.move when 'settle' then c.amount_minor when 'return' then -c.amount_minor else 0 end)::bigint
                           as paid_out,
                       sum(case c.move when 'paid_late' then c.amount_minor else 0 end)::bigint as receivable
                  from unnest(won) c where c.move is not null group by 1, 2) m
         where b.account_id = m.account_id and b.currency = m.currency;
    end if;

    return query select c.payout_id from unnest(won) c;
end $$;

-- Brings money in. Answers the transaction, and whether this reference had brought in something else before.
create function credit_balance(
    p_account text, p_currency text, p_amount bigint, p_reference text, p_fingerprint bytea, p_tx_id text, p_memo text
) returns table (tx_id text, outcome text) language plpgsql as $$
declare
    earlier ledger_credit;
begin
    insert into ledger_credit (account_id, reference, fingerprint, tx_id)
    values (p_account, p_reference, p_fingerprint, p_tx_id) on conflict do nothing;
    if not found then
        select * into earlier from ledger_credit c where c.account_id = p_account and c.reference = p_reference;
        return query select earlier.tx_id,
            case when earlier.fingerprint = p_fingerprint then 'replayed' else 'reference_reused' end;
        return;
    end if;
    insert into balance (account_id, currency, available) values (p_account, p_currency, p_amount)
    on conflict (account_id, currency) do update set available = balance.available + excluded.available;
    insert into ledger_entry (account_id, tx_id, line, kind, book, currency, debit, credit, memo, posted_at)
    values (p_account, p_tx_id, 1, 'credit', 'funding', p_currency, p_amount, 0, p_memo, now()),
           (p_account, p_tx_id, 2, 'credit', 'available', p_currency, 0, p_amount, p_memo, now());
    return query select p_tx_id, 'credited';
end $$;
