"""What differs between databases, in one place: instants as text on SQLite, JSON lists, checks."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import CheckConstraint, ColumnElement, DateTime, TableValuedAlias, Text, bindparam, column, func
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.operators import custom_op
from sqlalchemy.types import TypeDecorator, TypeEngine

from oomdb.timespan import to_whole_seconds

# an INSERT that takes ON CONFLICT, and how it is built; the writers take them from here
Upsert = SqliteInsert
upsert = sqlite_insert


class Instant(TypeDecorator[datetime]):
    """A UTC instant in whole seconds: `YYYY-MM-DD HH:MM:SS` on SQLite, so that `datetime('now', '-7 days')` compares
    exactly with it; `timestamptz` elsewhere. Values without a zone are refused.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return format_stored(value) if dialect.name == "sqlite" else to_whole_seconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy's signature
        return None if value is None else parse_stored(value)


def one_of(column: str, *values: str) -> CheckConstraint:
    """Build the check that a text column holds one of a few words."""
    words = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({words})", name=f"{column}_known")


def instant_shape(column: str) -> CheckConstraint:
    """Build the check that SQLite, which would store anything, holds an instant in the one form that compares."""
    shape = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9]"
    check = CheckConstraint(f"{column} GLOB '{shape}'", name=f"{column}_instant")
    return check.ddl_if(dialect="sqlite")


def matches_glob(column: ColumnElement[str], pattern: str) -> ColumnElement[bool]:
    """Build 'column matches the shell pattern' (`*`, `?`, `[…]`, `[!…]`), upper and lower case told apart."""
    if not any(char in pattern for char in "*?["):
        return column == pattern  # an index can find it
    # SQLite negates by ^ alone, POSIX shells by ! (POSIX.1-2017, 2.13.1)
    return column.op("GLOB", is_comparison=True)(pattern.replace("[!", "[^"))


def contains(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Build 'column contains text', letter by letter: no wildcards, case counts."""
    return func.instr(column, text) > 0


def texts_in(parameter: str) -> TableValuedAlias:
    """Build a table with the one column `value`, the texts of the JSON list that a parameter holds.

    Any number of texts is one parameter and one statement; they must have no NUL, which ends a text in SQLite's JSON.
    """
    return func.json_each(bindparam(parameter, type_=Text)).table_valued(column("value", Text))


def triples_in(parameter: str) -> tuple[TableValuedAlias, tuple[ColumnElement[Any], ...]]:
    """Build a table of the JSON lists of three texts that a parameter holds, and the three columns of it.

    Instants are texts as `format_stored` gives them; texts must have no NUL.
    """
    triples = func.json_each(bindparam(parameter, type_=Text)).table_valued(column("value", Text))
    return triples, tuple(func.json_extract(triples.c.value, f"$[{number}]", type_=Text) for number in range(3))


@lru_cache(maxsize=4096)  # those of a run come again in its tables, and in the run after it
def format_stored(at: datetime) -> str:
    """Return an instant as SQLite stores it, which is how texts in parameters tell it."""
    utc = at if at.tzinfo is UTC else to_whole_seconds(at)
    return utc.isoformat(" ", "seconds")[: len("YYYY-MM-DD HH:MM:SS")]


def parse_stored(value: Any) -> datetime:
    """Return an instant that the driver gave as it is stored."""
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value.astimezone(UTC)


def unindexed(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Build the column such that SQLite uses no index for a condition on it: with a unary plus.

    For the planner that takes a range open to one side for a narrow one (sqlite.org/optoverview.html, "Disqualifying
    WHERE Clause Terms Using Unary-+").
    """
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def least(one: ColumnElement[int], other: ColumnElement[int]) -> ColumnElement[int]:
    """Build the smaller of two values of one row."""
    return func.min(one, other)


def greatest(one: ColumnElement[int], other: ColumnElement[int]) -> ColumnElement[int]:
    """Build the larger of two values of one row."""
    return func.max(one, other)


def earlier_by(at: ColumnElement[Any], seconds: ColumnElement[int]) -> ColumnElement[Any]:
    """Build the instant that lies so many seconds before a stored one."""
    return func.datetime(at, func.printf("-%d seconds", seconds), type_=at.type)


def stored_day(column: ColumnElement[Any]) -> ColumnElement[str]:
    """Build the UTC day of a stored instant, as `day_of` gives it."""
    return func.substr(column, 1, 10)


def day_of(at: datetime) -> str:
    """Return the UTC day of an instant, `YYYY-MM-DD`."""
    return format_stored(at)[: len("YYYY-MM-DD")]
