"""Statements that the driver executes itself, on a real SQLite file and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, bindparam, insert, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from orderconfirm.outbox.driver_statement import DriverStatement
from orderconfirm.outbox.engines import writing_engine

_metadata = MetaData()
words = Table(
    "words",
    _metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("word", String(100), unique=True),
    Column("language", String(10)),
)
_INSERT = insert(words).values(id=bindparam("number"), word=bindparam("text"), language="en")
_RENAME = (
    update(words)
    .where(words.c.language == bindparam("of"), words.c.id >= bindparam("first"))
    .values(language=bindparam("to"))
    .returning(words.c.id, words.c.language)
)


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    engine = writing_engine(url)
    _metadata.create_all(engine)
    with engine.begin() as connection:
        yield connection
        connection.rollback()
    _metadata.drop_all(engine)
    engine.dispose()


def insert_words(connection: Connection, *texts: str | None) -> DriverStatement:
    statement = DriverStatement(_INSERT, connection.dialect)
    statement.execute_many(connection, [{"number": number, "text": text} for number, text in enumerate(texts)])
    return statement


def contents(connection: Connection) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.execute(words.select().order_by(words.c.id))]


def test_constants_and_values_in_any_order_reach_their_columns(connection: Connection) -> None:
    statement = insert_words(connection, "100% :of ?", "it's", None)
    assert statement.changes(connection, {"text": "Grüße \u202e", "number": 3}) == 1
    assert contents(connection) == [
        (0, "100% :of ?", "en"),
        (1, "it's", "en"),
        (2, None, "en"),
        (3, "Grüße \u202e", "en"),
    ]


def test_returned_rows_have_their_columns_as_attributes(connection: Connection) -> None:
    insert_words(connection, "a", "b", "c")
    rename = DriverStatement(_RENAME, connection.dialect)
    rows = rename.rows(connection, {"of": "en", "to": "de", "first": 1})
    assert sorted((row.id, row.language) for row in rows) == [(1, "de"), (2, "de")]
    assert rename.rows(connection, {"of": "fr", "to": "de", "first": 0}) == []
    assert [row.id for row in rename.rows(connection, {"first": 0, "to": "fr", "of": "en"})] == [0]


def test_the_number_of_changed_rows_is_told(connection: Connection) -> None:
    insert_words(connection, "a", "b")
    change = DriverStatement(
        update(words).where(words.c.id == bindparam("number")).values(language=bindparam("to")), connection.dialect
    )
    assert [change.changes(connection, {"number": number, "to": "de"}) for number in (0, 7)] == [1, 0]


def test_nothing_to_execute_is_no_error(connection: Connection) -> None:
    insert_words(connection)
    assert contents(connection) == []


def test_an_error_of_the_driver_is_one_of_sqlalchemy_without_the_values(connection: Connection) -> None:
    statement = insert_words(connection, "jane@example.com")
    with pytest.raises(DBAPIError) as caught:
        statement.changes(connection, {"number": 1, "text": "jane@example.com"})
    assert not isinstance(caught.value, IntegrityError)  # nobody tells the kinds apart
    assert caught.value.params is None
    assert "jane@example.com" not in str(caught.value.statement)
    assert caught.value.orig is caught.value.__cause__


def test_a_missing_value_is_an_error(connection: Connection) -> None:
    statement = DriverStatement(_INSERT, connection.dialect)
    with pytest.raises((KeyError, DBAPIError)):
        statement.changes(connection, {"number": 1})
