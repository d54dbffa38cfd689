-- Answers kept for repeated POSTs: applied by the migrations of the app that uses it (plimsoll_runtime.idempotency.SCHEMA).

CREATE SCHEMA plimsoll_http;

CREATE TABLE plimsoll_http.idempotency_key (
    owner       text NOT NULL, -- the subject of the token: keys of two clients never meet
    key         text NOT NULL,
    fingerprint bytea NOT NULL, -- sha256 of what was asked for
    status      smallint NOT NULL,
    headers     jsonb NOT NULL, -- [[name, value], …]
    body        bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (owner, key)
);

CREATE INDEX idempotency_key_expires_at ON plimsoll_http.idempotency_key (expires_at);
