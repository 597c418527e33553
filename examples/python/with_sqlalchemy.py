import os

from sqlalchemy import create_engine, event, text

from expected_database import ASSERT_IDENTITY
from serve import serve

engine = create_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1),
    pool_pre_ping=True,
    connect_args={"application_name": "shop"},
)


@event.listens_for(engine, "connect")  # each new connection, before anybody is given it
def assert_identity(connection, _):
    try:
        connection.execute(ASSERT_IDENTITY)
        connection.commit()
    except Exception:
        connection.close()  # the pool does not know it yet, and would leave it to the garbage collector
        raise


def count_users():
    with engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM users"))


serve(count_users)
