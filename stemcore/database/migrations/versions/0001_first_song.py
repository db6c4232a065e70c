"""Accounts, jobs with their events, outbox and inbox."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE accounts (
        id uuid PRIMARY KEY,
        email text NOT NULL,
        full_name text NOT NULL,
        password_hash text NOT NULL,
        plan text NOT NULL DEFAULT 'free',
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE UNIQUE INDEX accounts_email ON accounts (lower(email))",
    """
    CREATE TABLE jobs (
        id uuid PRIMARY KEY,
        account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
        kind text NOT NULL,
        status text NOT NULL CHECK (status IN
            ('accepted', 'queued', 'running', 'succeeded', 'failed', 'cancelled')),
        run integer NOT NULL DEFAULT 1,
        priority integer NOT NULL DEFAULT 0,
        parameters jsonb NOT NULL,
        metadata jsonb NOT NULL DEFAULT '{}',
        idempotency_key text,
        idempotency_digest text,
        source_key text NOT NULL,
        source_name text NOT NULL,
        source_bytes bigint NOT NULL,
        source_sha256 text NOT NULL,
        source_facts jsonb,
        stage text NOT NULL DEFAULT 'accepted',
        progress double precision NOT NULL DEFAULT 0,
        error jsonb,
        warnings jsonb NOT NULL DEFAULT '[]',
        results jsonb NOT NULL DEFAULT '[]',
        ledger jsonb NOT NULL DEFAULT '{}',
        measures jsonb NOT NULL DEFAULT '{}',
        pin jsonb,
        lease_token bigint NOT NULL DEFAULT 0,
        lease_owner text,
        lease_expires_at timestamptz,
        claims integer NOT NULL DEFAULT 0,
        not_before timestamptz,
        last_event integer NOT NULL DEFAULT 1,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        queued_at timestamptz,
        started_at timestamptz,
        finished_at timestamptz,
        expires_at timestamptz,
        UNIQUE (account_id, idempotency_key)
    )
    """,
    "CREATE INDEX jobs_of_account ON jobs (account_id, id DESC)",
    "CREATE INDEX jobs_to_claim ON jobs (priority DESC, queued_at) WHERE status = 'queued'",
    "CREATE INDEX jobs_leased ON jobs (lease_expires_at) WHERE status = 'running'",
    """
    CREATE TABLE job_events (
        job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
        seq integer NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        type text NOT NULL,
        data jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (job_id, seq)
    )
    """,
    """
    CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        topic text NOT NULL,
        key text NOT NULL,
        payload text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE inbox (
        event_id uuid PRIMARY KEY,
        received_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE dead_letters (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        topic text NOT NULL,
        payload text NOT NULL,
        reason text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    # Prefixes in the object store that belong to a deleted job or to a stale run.
    """
    CREATE TABLE doomed_prefixes (
        prefix text PRIMARY KEY,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
