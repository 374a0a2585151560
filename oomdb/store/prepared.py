"""Statements that are compiled once and then given to the driver as they are: a scan runs many, for few rows each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult, Insert, Select, Update
from sqlalchemy.engine import Dialect

Row = Mapping[str, Any]


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
        self._compiled: dict[str, tuple[str, Callable[[Row], tuple[Any, ...]]]] = {}

    def execute(self, conn: Connection, rows: Sequence[Row]) -> None:
        """Run the statement once for each row; without rows nothing happens."""
        if not rows:
            return  # exec_driver_sql would run it once, without values
        sql, bind = self._compiled_for(conn.dialect)
        conn.exec_driver_sql(sql, [bind(row) for row in rows])

    def run(self, conn: Connection, row: Row) -> CursorResult[Any]:
        """Run the statement once, and return what the driver gives: values are as they are stored."""
        sql, bind = self._compiled_for(conn.dialect)
        return conn.exec_driver_sql(sql, bind(row))

    def _compiled_for(self, dialect: Dialect) -> tuple[str, Callable[[Row], tuple[Any, ...]]]:
        if dialect.name not in self._compiled:
            self._compiled[dialect.name] = self._compile(dialect)
        return self._compiled[dialect.name]

    def _compile(self, dialect: Dialect) -> tuple[str, Callable[[Row], tuple[Any, ...]]]:
        compiled = self._statement.compile(dialect=dialect, column_keys=self._columns)
        names = list(compiled.positiontup or ())
        binds = {name: compiled.binds[name] for name in names}
        fixed = {name: it.value for name, it in binds.items() if not it.required}  # literals of the statement
        found = {name: it.type.dialect_impl(dialect).bind_processor(dialect) for name, it in binds.items()}
        processors = [(name, process) for name, process in found.items() if process]

        def bind(row: Row) -> tuple[Any, ...]:
            values = {**fixed, **row}
            for name, process in processors:
                values[name] = process(values[name])
            return tuple([values[name] for name in names])

        return str(compiled), bind
