-- runs outside a transaction, so it must be safe to run again
create index concurrently if not exists notes_written_at on notes (written_at);
