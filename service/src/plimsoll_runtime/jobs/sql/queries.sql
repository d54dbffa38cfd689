-- One statement each, so one transaction each and safe behind a transaction-mode pooler.
-- Read by ledger.py, which gives each a typed function. What the states mean: plimsoll_runtime/jobs/__init__.py.
--
-- Lock order: complete and fail lock the job first, so that the last two steps of a job cannot both believe that they
-- are not the last, and cannot deadlock. claim, beat and release touch their own step's row only.
-- A row that changed while we waited for its lock is read again by PostgreSQL (READ COMMITTED), hence the counters.

-- name: enqueue
WITH declared AS (
    SELECT name, needs, max_attempts
    FROM jsonb_to_recordset(%(steps)s) AS s (name text, needs text[], max_attempts int)
),
job AS (
    INSERT INTO plimsoll_jobs.job (id, kind, input, steps_left, traceparent)
    SELECT %(job)s, %(kind)s, %(input)s, count(*), %(traceparent)s FROM declared
),
step AS (
    INSERT INTO plimsoll_jobs.step (job_id, name, kind, max_attempts, deps_left, state)
    SELECT %(job)s, name, %(kind)s, max_attempts, cardinality(needs),
           CASE cardinality(needs) WHEN 0 THEN 'ready' ELSE 'blocked' END
    FROM declared
),
dep AS (
    INSERT INTO plimsoll_jobs.step_dep (job_id, name, needs)
    SELECT %(job)s, name, unnest(needs) FROM declared
)
SELECT pg_notify('plimsoll_jobs', %(kind)s)

-- name: claim
WITH picked AS (
    SELECT job_id, name
    FROM plimsoll_jobs.step
    WHERE state = 'ready' AND run_after <= now()
      AND (kind, name) IN (SELECT * FROM unnest(%(kinds)s::text[], %(steps)s::text[]))
    ORDER BY run_after
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
),
claimed AS (
    UPDATE plimsoll_jobs.step s
    SET state = 'running', lease = gen_random_uuid(), lease_until = now() + %(lease)s, worker = %(worker)s,
        attempt = s.attempt + 1, progress = 0, started_at = coalesce(s.started_at, now())
    FROM picked p
    WHERE s.job_id = p.job_id AND s.name = p.name
    RETURNING s.job_id, s.name, s.kind, s.lease, s.attempt
)
SELECT c.job_id AS job, c.kind, c.name AS step, c.lease, c.attempt, j.input, j.traceparent,
       (SELECT coalesce(jsonb_object_agg(n.name, n.result), '{}')
        FROM plimsoll_jobs.step_dep d
        JOIN plimsoll_jobs.step n ON n.job_id = d.job_id AND n.name = d.needs
        WHERE d.job_id = c.job_id AND d.name = c.name) AS results
FROM claimed c JOIN plimsoll_jobs.job j ON j.id = c.job_id

-- name: beat
UPDATE plimsoll_jobs.step
SET lease_until = now() + %(lease)s, progress = greatest(progress, %(progress)s)
WHERE job_id = %(job)s AND name = %(step)s AND lease = %(token)s AND state = 'running'
RETURNING true

-- name: complete
WITH job AS (
    SELECT id FROM plimsoll_jobs.job WHERE id = %(job)s FOR UPDATE
),
done AS (
    UPDATE plimsoll_jobs.step s
    SET state = 'done', result = %(result)s, progress = 1, error = NULL, lease = NULL, lease_until = NULL,
        finished_at = clock_timestamp()
    FROM job
    WHERE s.job_id = job.id AND s.name = %(step)s AND s.lease = %(token)s AND s.state = 'running'
    RETURNING s.job_id, s.name
),
freed AS (
    UPDATE plimsoll_jobs.step s
    SET deps_left = s.deps_left - 1,
        state = CASE s.deps_left WHEN 1 THEN 'ready' ELSE s.state END,
        run_after = now()
    FROM done JOIN plimsoll_jobs.step_dep d ON d.job_id = done.job_id AND d.needs = done.name
    WHERE s.job_id = d.job_id AND s.name = d.name
    RETURNING s.kind, s.state
),
counted AS (
    UPDATE plimsoll_jobs.job j
    SET steps_left = j.steps_left - 1,
        state = CASE j.steps_left WHEN 1 THEN 'succeeded' ELSE j.state END,
        result = CASE j.steps_left WHEN 1 THEN %(result)s ELSE j.result END,
        finished_at = CASE j.steps_left WHEN 1 THEN clock_timestamp() END
    FROM done WHERE j.id = done.job_id
    RETURNING j.state
)
SELECT state, (SELECT count(pg_notify('plimsoll_jobs', kind)) FROM freed WHERE state = 'ready') FROM counted

-- name: fail
WITH job AS (
    SELECT id FROM plimsoll_jobs.job WHERE id = %(job)s FOR UPDATE
),
failed AS (
    UPDATE plimsoll_jobs.step s
    SET state = CASE WHEN %(permanent)s OR s.attempt >= s.max_attempts THEN 'dead' ELSE 'ready' END,
        error = %(error)s, run_after = now() + %(retry_in)s, lease = NULL, lease_until = NULL,
        finished_at = CASE WHEN %(permanent)s OR s.attempt >= s.max_attempts THEN clock_timestamp() END
    FROM job
    WHERE s.job_id = job.id AND s.name = %(step)s AND s.lease = %(token)s AND s.state = 'running'
      AND (NOT %(if_expired)s OR s.lease_until < now())
    RETURNING s.job_id, s.name, s.kind, s.state
),
ended AS (
    UPDATE plimsoll_jobs.job j
    SET state = 'failed', error = %(error)s, finished_at = clock_timestamp()
    FROM failed f WHERE f.state = 'dead' AND j.id = f.job_id
),
dropped AS (
    UPDATE plimsoll_jobs.step s
    SET state = 'cancelled', lease = NULL, lease_until = NULL, finished_at = clock_timestamp()
    FROM failed f
    WHERE f.state = 'dead' AND s.job_id = f.job_id AND s.name <> f.name AND s.state IN ('blocked', 'ready', 'running')
)
SELECT state, CASE state WHEN 'ready' THEN pg_notify('plimsoll_jobs', kind) END FROM failed

-- name: release
WITH released AS (
    UPDATE plimsoll_jobs.step
    SET state = 'ready', attempt = attempt - 1, progress = 0, run_after = now(), lease = NULL, lease_until = NULL
    WHERE job_id = %(job)s AND name = %(step)s AND lease = %(token)s AND state = 'running'
    RETURNING kind
)
SELECT true, pg_notify('plimsoll_jobs', kind) FROM released

-- name: expired
SELECT job_id AS job, kind, name AS step, lease, attempt
FROM plimsoll_jobs.step
WHERE state = 'running' AND lease_until < now()
LIMIT 100

-- name: waiting
SELECT kind, count(*)
FROM (SELECT kind FROM plimsoll_jobs.step WHERE state = 'ready' AND run_after <= now() LIMIT %(limit)s) AS ready
GROUP BY kind

-- name: status
SELECT j.id, j.kind, j.result, j.error, j.created_at, j.finished_at,
       CASE WHEN j.state <> 'open' THEN j.state
            WHEN bool_or(s.state IN ('running', 'done')) THEN 'running'
            ELSE 'queued' END AS status,
       avg(s.progress)::float8 AS progress, sum(s.attempt)::int AS attempts
FROM plimsoll_jobs.job j JOIN plimsoll_jobs.step s ON s.job_id = j.id
WHERE j.id = %(job)s
GROUP BY j.id
