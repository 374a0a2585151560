"""Statements that are compiled once and then given to the driver as they are: a scan runs many, for few rows each."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Insert, Select, Update
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPICursor

Row = Mapping[str, Any]
Values = tuple[Any, ...]


class Prepared:
    """A statement of Core that runs on lists of rows, or once.

    Core looks its statements up and binds their values anew each time, which costs more than SQLite takes to run them.
    """

    def __init__(self, statement: Insert | Update | Select[Any], columns: Sequence[str] = ()) -> None:
        """Prepare a statement; compiled when it is first run.

        Args:
            statement: what to run, values left open.
            columns: the columns that it sets from the rows, which have these keys and those of its own parameters.
        """
        self._statement = statement
        self._columns = list(columns)
        self._compiled: dict[str, tuple[str, Callable[[Row], Values]]] = {}

    def execute(self, conn: Connection, rows: Sequence[Row]) -> None:
        """Run the statement once for each row; without rows nothing happens."""
        _, bind = self._compiled_for(conn.dialect)
        self.execute_bound(conn, [bind(row) for row in rows])

    def bind(self, conn: Connection, row: Row) -> Values:
        """Return the values that the driver takes for a row, in the order of the statement."""
        return self._compiled_for(conn.dialect)[1](row)

    def execute_bound(self, conn: Connection, rows: Sequence[Values]) -> None:
        """Run the statement once for each row, as `bind` returned it; without rows nothing happens."""
        if rows:  # else exec_driver_sql would run it once, without values
            conn.exec_driver_sql(self._compiled_for(conn.dialect)[0], rows)

    def run(self, conn: Connection, row: Row) -> DBAPICursor:
        """Run the statement once, and return the driver's cursor: values are as they are stored."""
        sql, bind = self._compiled_for(conn.dialect)
        # Core would describe the columns of the result anew each time, at the price of the query
        cursor = conn.connection.cursor()
        cursor.execute(sql, bind(row))
        return cursor

    def _compiled_for(self, dialect: Dialect) -> tuple[str, Callable[[Row], Values]]:
        if dialect.name not in self._compiled:
            self._compiled[dialect.name] = self._compile(dialect)
        return self._compiled[dialect.name]

    def _compile(self, dialect: Dialect) -> tuple[str, Callable[[Row], Values]]:
        compiled = self._statement.compile(dialect=dialect, column_keys=self._columns)
        names = list(compiled.positiontup or ())
        binds = [compiled.binds[name] for name in names]
        fixed = {name: it.value for name, it in zip(names, binds, strict=True) if not it.required}  # its literals
        processors = [it.type.dialect_impl(dialect).bind_processor(dialect) for it in binds]
        processed = [(position, process) for position, process in enumerate(processors) if process]
        pick = itemgetter(*names, names[0])  # one more: a single item would come without a tuple

        def bind(row: Row) -> Values:
            values = list(pick({**fixed, **row} if fixed else row))
            values.pop()
            for position, process in processed:
                values[position] = process(values[position])
            return tuple(values)

        return str(compiled), bind
