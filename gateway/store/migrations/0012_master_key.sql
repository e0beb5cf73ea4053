-- Something sealed under the master key that this database goes with. Whoever comes with another key is told at once, before
-- they seal what nobody will be able to open when it has to be paid.
create table master_key_proof (
    only_one boolean primary key default true check (only_one),
    sealed   bytea not null
);
