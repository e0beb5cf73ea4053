-- The rules that our own books and histories must keep, whatever the code does. Each query answers no row while its rule
-- holds; else one for each offender: its id, its account, and what is wrong with it. They read and never change anything.
-- `gateway/invariants.py` runs them every few minutes on the real data, `payout-gateway verify` once, and the tests after
-- every flow. The numbers are those of the invariants I1 to I36.

-- --- requests

-- name: I2_request_keys  An idempotency key of an account stands for one payout, for ever.
select key as id, account_id, count(*) as times from request_key group by account_id, key having count(*) > 1;

-- name: I2_merchant_references  A merchant's reference stands for one payout of its account.
select merchant_reference as id, account_id, count(*) as times from payout
 where merchant_reference is not null group by account_id, merchant_reference having count(*) > 1;

-- name: I4_nothing_lost  What was asked for, sent, told or booked belongs to a payout that is there.
select distinct named.payout_id as id, named.account_id, named.kept_in
  from (select account_id, payout_id, 'request_key' as kept_in from request_key
        union all select account_id, payout_id, 'attempt' from attempt
        union all select account_id, payout_id, 'event' from event
        union all select account_id, payout_id, 'ledger_entry' from ledger_entry where payout_id is not null) named
 where not exists (select from payout p where p.account_id = named.account_id and p.id = named.payout_id);

-- name: I4_asked_for  Each payout has the request that made it.
select p.id, p.account_id from payout p
 where not exists (select from request_key k where k.account_id = p.account_id and k.payout_id = p.id);

-- --- books

-- name: I6_balanced  Each ledger transaction debits what it credits, in each currency.
select tx_id as id, account_id, currency, sum(debit) as debits, sum(credit) as credits from ledger_entry
 group by account_id, tx_id, currency having sum(debit) <> sum(credit);

-- name: I6_booked  A payout is reserved once, and settled, released and returned once as its phase says, for its own amount.
select p.id, p.account_id, p.phase, b.reserve, b.settle, b.release, b.return
  from payout p
  left join (
       select account_id, payout_id, min(debit + credit) as least, max(debit + credit) as most,
              min(currency) as currency, max(currency) as other_currency,
              count(*) filter (where kind = 'reserve') as reserve, count(*) filter (where kind = 'settle') as settle,
              count(*) filter (where kind = 'release') as release, count(*) filter (where kind = 'return') as return
         from ledger_entry where payout_id is not null group by account_id, payout_id
  ) b on b.account_id = p.account_id and b.payout_id = p.id
 -- Two lines a transaction. What comes back before it was known to be paid is released and never settled.
 where b.reserve is distinct from 2 or b.least <> p.amount_minor or b.most <> p.amount_minor
    or b.currency <> p.currency or b.other_currency <> p.currency
    or case p.phase when 'paid' then (b.settle, b.release, b.return) <> (2, 0, 0)
                    when 'returned' then (b.settle, b.release, b.return) not in ((2, 0, 2), (0, 2, 0))
                    when 'failed' then (b.settle, b.release, b.return) <> (0, 2, 0)
                    when 'cancelled' then (b.settle, b.release, b.return) <> (0, 2, 0)
                    else (b.settle, b.release, b.return) <> (0, 0, 0) end;

-- name: I6_named  Each entry belongs to a payout, or to a credit that came in once under its reference.
select coalesce(e.tx_id, c.tx_id) as id, coalesce(e.account_id, c.account_id) as account_id, e.lines
  from (select account_id, tx_id, count(*) as lines, bool_and(kind = 'credit') as is_credit from ledger_entry
         where payout_id is null group by account_id, tx_id) e
  full join ledger_credit c on c.account_id = e.account_id and c.tx_id = e.tx_id
 where e.tx_id is null or c.tx_id is null or not e.is_credit or e.lines <> 2;

-- name: I7_below_zero  No balance is below zero.
select currency as id, account_id, available, in_transit, paid_out, receivable from balance
 where least(available, in_transit, paid_out, receivable) < 0;

-- name: I7_reserved  What is reserved is what the unfinished payouts are about.
select currency as id, account_id, b.in_transit, p.unfinished
  from balance b
  full join (select account_id, currency, sum(amount_minor) as unfinished from payout
              where phase in ('queued', 'processing', 'needs_review') group by account_id, currency) p
       using (account_id, currency)
 where coalesce(b.in_transit, 0) <> coalesce(p.unfinished, 0);

-- name: I3_paid_out  What is paid out is what the paid payouts are about.
select currency as id, account_id, b.paid_out, p.paid
  from balance b
  full join (select account_id, currency, sum(amount_minor) as paid from payout where phase = 'paid'
              group by account_id, currency) p using (account_id, currency)
 where coalesce(b.paid_out, 0) <> coalesce(p.paid, 0);

-- name: I8_entries  Each balance is the sum of its entries.
select currency as id, account_id, b.available, b.in_transit, b.paid_out, b.receivable, e.books
  from balance b
  full join (
       select account_id, currency,
              array[coalesce(sum(credit - debit) filter (where book = 'available'), 0),
                    coalesce(sum(credit - debit) filter (where book = 'in_transit'), 0),
                    coalesce(sum(credit - debit) filter (where book = 'paid_out'), 0),
                    coalesce(sum(debit - credit) filter (where book = 'receivable'), 0)] as books
         from ledger_entry group by account_id, currency
  ) e using (account_id, currency)
 where coalesce(e.books, array[0, 0, 0, 0]::numeric[])
       <> array[coalesce(b.available, 0), coalesce(b.in_transit, 0), coalesce(b.paid_out, 0),
                coalesce(b.receivable, 0)]::numeric[];

-- name: I8_sources  What came in is available, under way, or paid out.
select currency as id, account_id, b.available, b.in_transit, b.paid_out, c.came_in
  from balance b
  full join (select account_id, currency, sum(credit - debit) as came_in from ledger_entry
              where kind = 'credit' and book = 'available' group by account_id, currency) c using (account_id, currency)
 where coalesce(b.available + b.in_transit + b.paid_out, 0) <> coalesce(c.came_in, 0);

-- name: I8_receivable  What others owe us is what the open incidents of late payments say.
select currency as id, account_id, b.receivable, i.open_incidents
  from balance b
  full join (select account_id, currency, sum(amount_minor) as open_incidents from incident
              where kind = 'paid_late' and closed_at is null group by account_id, currency) i using (account_id, currency)
 where coalesce(b.receivable, 0) <> coalesce(i.open_incidents, 0);

-- --- attempts

-- name: I5_evidence  An exposure was closed by a report that proves it: never by a timeout or an answer nobody understood.
select a.id, a.account_id, a.state, r.kind
  from attempt a
  left join report r on r.account_id = a.account_id and r.attempt_id = a.id and r.id = a.evidence_id
 where a.exposure = 'closed'
   and (r.id is null or not r.changed
        or case a.state when 'not_sent' then r.kind not in ('NotSent', 'NotFound', 'Decision')
                        when 'refused' then r.kind <> 'Refused'
                        else r.kind not in ('Taken', 'Decision') end);

-- name: I5_decisions  What people decided had a second person's confirmation.
select r.attempt_id as id, r.account_id, r.detail->>'decision' as decision
  from report r
  left join decision d on d.account_id = r.account_id and d.id = r.detail->>'decision' and d.attempt_id = r.attempt_id
                      and d.outcome = r.detail->>'outcome' and d.state = 'confirmed'
                      and lower(d.confirmed_person) <> lower(d.proposed_person)
 where r.kind = 'Decision' and d.id is null;

-- name: I10_sending  Each attempt was announced, once, when it was stored and before it was sent; or when it was taken over.
select coalesce(a.id, e.attempt_id) as id, coalesce(a.account_id, e.account_id) as account_id, e.times
  from attempt a
  full join (select account_id, attempt_id, count(*) as times from event where type in ('payout.sending', 'payout.adopted')
              group by account_id, attempt_id) e on e.account_id = a.account_id and e.attempt_id = a.id
 where a.id is null or e.times is distinct from 1;

-- name: I11_one_exposure  Of a payout at most one attempt may have money out.
select payout_id as id, account_id, count(*) as exposed from attempt where exposure in ('open', 'spent')
 group by account_id, payout_id having count(*) > 1;

-- name: I11_newest  A payout points to its newest attempt, and while that is under way to its connection.
select p.id, p.account_id, p.attempt_id, a.id as newest
  from payout p
  left join (select distinct on (account_id, payout_id) account_id, payout_id, id, connection_id, exposure
               from attempt order by account_id, payout_id, number desc) a
       on a.account_id = p.account_id and a.payout_id = p.id
 -- Not of a paid one: an attempt that paid after all did so at the connection that the payout had left before.
 where p.attempt_id is distinct from a.id or (a.exposure = 'open' and a.connection_id <> p.connection_id);

-- name: I12_after_proof  A next attempt was made only after the one before was closed by evidence.
select a.id, a.account_id, before.id as before, before.exposure
  from attempt a
  left join attempt before
       on before.account_id = a.account_id and before.payout_id = a.payout_id and before.number = a.number - 1
  left join report r on r.account_id = before.account_id and r.attempt_id = before.id and r.id = before.evidence_id
  -- By the numbers of their events: clocks prove nothing.
  left join event closed on closed.account_id = before.account_id and closed.payout_id = before.payout_id
                        and closed.attempt_id = before.id and closed.report_digest = r.digest
  left join event sending on sending.account_id = a.account_id and sending.payout_id = a.payout_id
                         and sending.attempt_id = a.id and sending.type = 'payout.sending'
 -- Of an attempt that the database had forgotten, what came before is forgotten too.
 where a.number > 1 and a.adopted_for is null
   and (before.id is null or before.exposure <> 'closed' or r.id is null or closed.seq > sending.seq);

-- name: I12_released  Nothing is out of a payout that is queued, or has ended without being paid.
select p.id, p.account_id, p.phase, a.id as attempt_id, a.state
  from attempt a join payout p on p.account_id = a.account_id and p.id = a.payout_id
 where a.exposure <> 'closed' and p.phase in ('queued', 'failed', 'cancelled', 'returned');

-- name: I13_keys  No two attempts have the same key.
select key as id, min(account_id) as account_id, count(*) as times from attempt group by key having count(*) > 1;

-- name: I16_paid  A payout that is paid, or came back, has exactly one attempt that is.
select p.id, p.account_id, p.phase, a.paid, a.returned
  from payout p
  left join (select account_id, payout_id, count(*) filter (where state = 'paid') as paid,
                    count(*) filter (where state = 'returned') as returned
               from attempt where state in ('paid', 'returned') group by account_id, payout_id) a
       on a.account_id = p.account_id and a.payout_id = p.id
 where coalesce(a.paid, 0) <> (p.phase = 'paid')::int or coalesce(a.returned, 0) <> (p.phase = 'returned')::int;

-- name: I16_words  What a merchant sees fits the phase, and an exposure fits its attempt's state.
select id, account_id, phase || ' ' || status as words from payout
 where case when phase in ('paid', 'returned', 'failed', 'cancelled') then status <> phase
            when phase = 'queued' then status <> 'pending' else status not in ('pending', 'in_transit') end
union all
select id, account_id, state || ' ' || exposure from attempt
 where exposure <> case when state in ('sending', 'unconfirmed', 'pending', 'in_transit') then 'open'
                        when state = 'paid' then 'spent' else 'closed' end;

-- name: I17_paid_late  Money that left for an attempt that had ended is an incident, and booked once.
select coalesce(a.id, i.attempt_id) as id, coalesce(a.account_id, i.account_id) as account_id, i.id as incident_id, l.booked
  from (select account_id, id, payout_id from attempt where paid_late_at is not null) a
  full join (select account_id, id, attempt_id from incident where kind = 'paid_late') i
       on i.account_id = a.account_id and i.attempt_id = a.id
  left join (select account_id, payout_id, count(*) / 2 as booked from ledger_entry where kind = 'paid_late'
              group by account_id, payout_id) l on l.account_id = a.account_id and l.payout_id = a.payout_id
 where a.id is null or i.id is null
    or l.booked is distinct from (select count(*) from attempt s where s.account_id = a.account_id
                                     and s.payout_id = a.payout_id and s.paid_late_at is not null);

-- --- history

-- name: I24_without_gap  The events of a payout are numbered 1, 2, 3 and so on.
select payout_id as id, account_id, max(seq) as last, count(*) as kept from event
 group by account_id, payout_id having min(seq) <> 1 or max(seq) <> count(*);

-- name: I24_last_event  The last event of a payout says where it stands.
select p.id, p.account_id, p.seq, p.phase, e.phase as told, later.seq as later
  from payout p
  left join event e on e.account_id = p.account_id and e.payout_id = p.id and e.seq = p.seq
  left join event later on later.account_id = p.account_id and later.payout_id = p.id and later.seq = p.seq + 1
 where (e.phase, e.status) is distinct from (p.phase, p.status) or later.seq is not null;

-- name: I31_chain  No event was changed, removed or slipped in: the chain of hashes comes out the same, up to the payout's head.
select payout_id as id, account_id, min(seq) as first_bad
  from (select e.account_id, e.payout_id, e.seq,
               hash <> event_hash(coalesce(lag(hash) over (partition by account_id, payout_id order by seq), ''), account_id,
                                  payout_id, seq, id, type, phase, status, attempt_id, source, reason, words, evidence,
                                  report_digest, created_at) as is_bad
          from event e
        union all
        select p.account_id, p.id, p.seq, true from payout p
          join event e on e.account_id = p.account_id and e.payout_id = p.id and e.seq = p.seq where e.hash <> p.head) checked
 where is_bad group by account_id, payout_id;

-- name: I31_reports  No report was changed: what was said, by whom and when still gives its digest.
select attempt_id as id, account_id, r.id as report from report r
 where digest <> report_digest(account_id, attempt_id, source, kind, detail, created_at);

-- name: I31_kept  The report behind each event is kept.
select e.payout_id as id, e.account_id, e.seq from event e
 where e.report_digest is not null
   and not exists (select from report r where r.account_id = e.account_id and r.attempt_id = e.attempt_id
                      and r.digest = e.report_digest);

-- --- what waits

-- name: I33_passing  A payout that is being processed has one attempt under way; one on the desk says why.
select p.id, p.account_id, p.phase, a.state
  from payout p left join attempt a on a.account_id = p.account_id and a.id = p.attempt_id
 where (p.phase = 'processing' and a.exposure is distinct from 'open')
    or (p.phase = 'needs_review' and p.review_reason is null);

-- name: I33_next_look  What may still change is looked at again, by us or by a person.
-- Manual payouts are moved by people alone, so nobody reads them: a test compares this name with the contracts.
select a.id, a.account_id, a.provider, a.state
  from attempt a join payout p on p.account_id = a.account_id and p.id = a.payout_id
 where a.check_at is null and a.provider <> 'manual' and p.review_reason is null
   and (a.exposure = 'open' or (a.state = 'paid' and p.final_at > now() + interval '1 minute'));

-- name: I33_overdue  Nothing that is due has been left lying for a quarter of an hour, a lease that ran out included.
select id, account_id, check_at as since from attempt where check_at < now() - interval '15 minutes'
union all
select id, account_id, due_at from notice where state = 'new' and due_at < now() - interval '15 minutes';

-- name: I33_queue_place  A queued payout stands in the queue of a connection that is there.
select p.id, p.account_id, p.connection_id from payout p
 where p.phase = 'queued'
   and not exists (select from connection c where c.account_id = p.account_id and c.id = p.connection_id
                      and c.provider = p.provider);
