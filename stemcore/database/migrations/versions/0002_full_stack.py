"""Several workers and a broker: headers of messages, the trace of a job, sources of others."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    # Travel as the headers of the published record, the trace context among them.
    "ALTER TABLE outbox ADD COLUMN headers jsonb NOT NULL DEFAULT '{}'",
    # W3C trace context and request id of the submission, for whoever works on the job later.
    "ALTER TABLE jobs ADD COLUMN trace_context jsonb NOT NULL DEFAULT '{}'",
    # Who submits by message need not know the digest of what lies in the object store.
    "ALTER TABLE jobs ALTER COLUMN source_sha256 DROP NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
