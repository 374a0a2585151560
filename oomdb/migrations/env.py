"""How alembic runs a migration: on the connection, and inside the transaction, that the store hands over."""

from alembic import context

from oomdb.store.schema import metadata

# the command line of alembic (for developers: `alembic revision`) has no connection of the store's
connection = context.config.attributes.get("connection")
if connection is None:
    from oomdb.store.database import connect_for_alembic

    connection = connect_for_alembic(context.get_x_argument(as_dictionary=True).get("db", "oomdb.sqlite"))

context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
