-- The ledger of durable jobs: applied by the migrations of the app that uses it (plimsoll_runtime.jobs.ledger.SCHEMA).
-- What the states mean is drawn in plimsoll_runtime/jobs/__init__.py.

CREATE SCHEMA plimsoll_jobs;

CREATE TABLE plimsoll_jobs.job (
    id          uuid PRIMARY KEY,
    kind        text NOT NULL,
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'succeeded', 'failed')),
    steps_left  int NOT NULL CHECK (steps_left >= 0),
    input       jsonb NOT NULL,
    result      jsonb,
    error       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CHECK ((state = 'open') = (finished_at IS NULL)),
    CHECK (state <> 'succeeded' OR steps_left = 0)
);

CREATE TABLE plimsoll_jobs.step (
    job_id       uuid NOT NULL REFERENCES plimsoll_jobs.job ON DELETE CASCADE,
    name         text NOT NULL,
    kind         text NOT NULL, -- the job's: a worker takes only what it knows how to run
    state        text NOT NULL CHECK (state IN ('blocked', 'ready', 'running', 'done', 'dead', 'cancelled')),
    deps_left    int NOT NULL CHECK (deps_left >= 0),
    attempt      int NOT NULL DEFAULT 0,
    max_attempts int NOT NULL CHECK (max_attempts > 0),
    run_after    timestamptz NOT NULL DEFAULT now(),
    lease        uuid, -- new with each claim: the fencing token of one attempt
    lease_until  timestamptz,
    worker       text,
    progress     real NOT NULL DEFAULT 0,
    result       jsonb,
    error        text,
    started_at   timestamptz,
    finished_at  timestamptz,
    PRIMARY KEY (job_id, name),
    CHECK ((state = 'running') = (lease IS NOT NULL)),
    CHECK ((lease IS NULL) = (lease_until IS NULL)),
    CHECK (state <> 'ready' OR deps_left = 0)
) WITH (fillfactor = 70); -- room on the page, so that a beat need not touch an index

CREATE INDEX step_ready ON plimsoll_jobs.step (run_after) WHERE state = 'ready';
-- Not on lease_until: every beat moves it, and would have to move the index too. Few steps run at a time.
CREATE INDEX step_running ON plimsoll_jobs.step (job_id) WHERE state = 'running';

CREATE TABLE plimsoll_jobs.step_dep (
    job_id uuid NOT NULL,
    name   text NOT NULL,
    needs  text NOT NULL,
    PRIMARY KEY (job_id, needs, name),
    FOREIGN KEY (job_id, name) REFERENCES plimsoll_jobs.step ON DELETE CASCADE,
    FOREIGN KEY (job_id, needs) REFERENCES plimsoll_jobs.step ON DELETE CASCADE
);
