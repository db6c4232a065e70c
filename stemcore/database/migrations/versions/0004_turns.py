"""Turns: the order in which jobs of one priority are claimed, so that accounts share evenly.

Start-time fair queueing in seconds of audio. An account's jobs stand one after the other, each at
the end of the one before; who was away joins where the queue is being served now. The turn is given
with the row and costs a look into an index, and so does every claim, however long the queue is.
"""

from alembic import op

revision = "0004"
down_revision = "0002"

STATEMENTS = (
    "ALTER TABLE jobs ADD COLUMN turn double precision NOT NULL DEFAULT 0",
    "DROP INDEX jobs_to_claim",
    """
    CREATE INDEX jobs_to_claim ON jobs (priority DESC, turn, queued_at) WHERE status = 'queued'
    """,
    """
    CREATE INDEX jobs_live ON jobs (account_id, priority, turn)
     WHERE status IN ('accepted', 'queued', 'running')
    """,
    # The lock makes jobs of one account come one after the other. A source whose length nobody
    # knows counts as a song of four minutes, and none as less than a preview of ten seconds.
    """
    CREATE FUNCTION give_turn() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM 1 FROM accounts WHERE id = NEW.account_id FOR NO KEY UPDATE;
        NEW.turn := greatest(
            (SELECT turn + greatest(
                        coalesce(nullif((source_facts->>'duration_s')::float8, 0), 240), 10)
               FROM jobs
              WHERE account_id = NEW.account_id AND priority = NEW.priority
                AND status IN ('accepted', 'queued', 'running')
              ORDER BY turn DESC LIMIT 1),
            coalesce(
                (SELECT max(turn) FROM jobs WHERE status = 'running' AND priority = NEW.priority),
                (SELECT min(turn) FROM jobs WHERE status = 'queued' AND priority = NEW.priority),
                0
            )
        );
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER jobs_turn BEFORE INSERT ON jobs
       FOR EACH ROW EXECUTE FUNCTION give_turn()
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
