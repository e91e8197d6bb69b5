"""Statements that are compiled once and executed by the database driver itself.

On SQLite, executing a statement through SQLAlchemy takes two to three times as long as the statement itself, while the
write lock is held. So the statements that run for every mail are executed like this, and all others by SQLAlchemy.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import ClauseElement


class DriverStatement:
    """A statement without expanding parameters. Executions raise DBAPIError, as SQLAlchemy's do."""

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self._sql = str(compiled)
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}
        self._order: list[str] | None = compiled.positiontup  # type: ignore[attr-defined]  # None: by name
        self._make_row: Callable[[Iterable[Any]], Any] | None = None

    def changes(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Execute the statement and return how many rows it changed."""
        return int(self._execute(connection, values).rowcount)

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> list[Any]:
        """Execute the statement and return the rows of its RETURNING clause, with the columns as attributes."""
        cursor = self._execute(connection, values)
        if self._make_row is None:
            names = [column[0] for column in cursor.description]
            row_type: Any = namedtuple("Row", names)  # type: ignore[misc]
            self._make_row = row_type._make
        return [self._make_row(values) for values in cursor.fetchall()]

    def execute_many(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Execute the statement once for each of `rows`."""
        self._run(connection, "executemany", [self._parameters(values) for values in rows])

    def _execute(self, connection: Connection, values: Mapping[str, Any]) -> Any:
        return self._run(connection, "execute", self._parameters(values))

    def _run(self, connection: Connection, method: str, parameters: Any) -> Any:
        cursor = connection.connection.cursor()
        try:
            getattr(cursor, method)(self._sql, parameters)
        except connection.dialect.loaded_dbapi.Error as exc:
            raise DBAPIError(self._sql, None, exc) from exc  # without the values, which contain personal data
        return cursor

    def _parameters(self, values: Mapping[str, Any]) -> Any:
        parameters = {**self._constants, **values}
        return parameters if self._order is None else [parameters[name] for name in self._order]
