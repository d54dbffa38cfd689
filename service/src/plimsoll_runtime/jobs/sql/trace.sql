-- Added to schema.sql after its first release (plimsoll_runtime.jobs.ledger.TRACE), in a migration of its own.

ALTER TABLE plimsoll_jobs.job ADD COLUMN traceparent text; -- W3C: the trace that the job was enqueued in
