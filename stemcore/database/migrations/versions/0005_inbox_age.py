"""The inbox by age, so that what nobody can send again may go."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("CREATE INDEX inbox_by_age ON inbox (received_at)")
