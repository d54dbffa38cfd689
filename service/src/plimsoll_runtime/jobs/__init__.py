"""Durable jobs on PostgreSQL: a ledger of steps, and the workers that take them.

A job is one or more steps; a step waits for the steps it needs by counting them down, and the job ends with its last
one. Everything is one statement in ``sql/queries.sql``, so everything is one transaction, and each write of a worker
carries its lease: the token of one attempt. Who has lost the lease writes nothing.

    step   blocked ──all needs done──▶ ready ──claim──▶ running ──complete──▶ done
                                         ▲                 │
                                         ├── release ◀─────┤  SIGTERM: handed back, attempt not charged
                                         ├── fail ◀────────┤  error or lease run out, attempts left: backoff
                                         │                 └── fail ──▶ dead   no attempts left, or no use in trying
           blocked, ready, running ──another step of the job died──▶ cancelled

    job    open ──its last step is done──▶ succeeded         open ──a step is dead──▶ failed
           (read as running while a step is taken or once one is done, otherwise as queued)

The flow: an app ``enqueue``s with its own transaction (``ledger``) -> a ``worker`` claims -> an ``attempt`` keeps the
lease while the step runs in a ``child`` -> the ledger. ``model`` declares jobs, ``gate`` checks what goes into them;
``sql/schema.sql`` is applied by the app's own migrations.
"""
