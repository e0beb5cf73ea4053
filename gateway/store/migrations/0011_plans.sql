-- The gathered writes keep the plan that they once made. Left to itself PostgreSQL plans every statement in them anew while
-- few rows are given at a time, and that costs a lone change more than carrying it out. The plans are by key alone, whatever
-- the number of rows: see the settings of our connections in gateway/store/database.py.

alter function record_changes(json) set plan_cache_mode = force_generic_plan;
alter function record_reports(json) set plan_cache_mode = force_generic_plan;
alter function create_payouts set plan_cache_mode = force_generic_plan;
