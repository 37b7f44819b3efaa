"""Statements whose SQL is made once for the life of the process, and prepared once a connection.

Django makes a query's SQL anew each time, and PostgreSQL a plan for it; for a short query the two
take several times as long as running it (docs/performance.md, What was done). A statement is
declared as an ordinary queryset, its scope included, with a ``Param`` in the place of each value
that differs from call to call.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from itertools import count
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db import (
    DEFAULT_DB_ALIAS,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.db.models import (
    BigIntegerField,
    BooleanField,
    CharField,
    DateTimeField,
    Expression,
    Field,
    ForeignKey,
    IntegerField,
    Model,
    QuerySet,
    TextField,
)
from django.db.models.fields import AutoFieldMixin
from django.db.models.query import ValuesListIterable, get_related_populators
from django.db.models.sql.compiler import SQLCompiler

Row: TypeAlias = "tuple[Any, ...]"
Convert: TypeAlias = "Callable[[list[Row]], Sequence[Any]]"

_POSTGRESQL = "postgresql"


class Param(Expression):
    """A value that is given when a statement is run, by this name."""

    def __init__(self, name: str, output_field: Field[Any, Any]) -> None:
        super().__init__(output_field=output_field)
        self.name = name

    @classmethod
    def of(cls, model: type[Model], field: str, name: str = "") -> Param:
        """Stand for a value of a model's field, which prepares it as it does in any query."""
        return cls(name or field, model._meta.get_field(field))  # type: ignore[arg-type]  # no relation back

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]


LIMIT = Param("limit", BigIntegerField())
OFFSET = Param("offset", BigIntegerField())


# A plan takes up to 400 kB of its connection. An edit has a statement for each set of columns, and
# anybody may ask for any of them: such plans leave room for the others.
_MOST_PLANS = 100
_MOST_OF_MANY = 30

_numbers = count(1)
# What each connection has a plan for.
_planned: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


class PreparedSQL:
    """The text of a statement for one engine, with a ``%s`` for each argument.

    ``places`` tells which argument each ``%s`` takes, where one is taken several times.
    PostgreSQL keeps it for as long as the connection lives, and from the sixth use on decides
    whether one plan does for all arguments. What ``is_planned_anew`` is never kept: its cost is
    estimated too badly for that. One of many is not as soon as a connection keeps many.
    """

    def __init__(
        self,
        sql: str,
        arguments: int,
        *,
        places: Sequence[int] | None = None,
        is_planned_anew: bool = False,
        is_one_of_many: bool = False,
    ) -> None:
        self.sql = sql
        self._is_planned_anew = is_planned_anew
        self._is_one_of_many = is_one_of_many
        self._name = f"statement_{next(_numbers)}"
        self._places = places
        self._numbered = sql % tuple(f"${n + 1}" for n in places or range(arguments))
        slots = ", ".join(["%s"] * arguments)
        self._execute = f"EXECUTE {self._name} ({slots})" if slots else f"EXECUTE {self._name}"

    def run(self, cursor: Any, arguments: Sequence[Any]) -> None:
        """Run the statement."""
        database = cursor.db
        is_kept = not self._is_planned_anew and database.vendor == _POSTGRESQL
        if not is_kept or not settings.DATABASE_PREPARE:
            self.run_once(cursor, arguments)
            return
        names = _planned.setdefault(database.connection, set())
        if self._name not in names:
            if len(names) >= (_MOST_OF_MANY if self._is_one_of_many else _MOST_PLANS):
                self.run_once(cursor, arguments)
                return
            cursor.execute(f"PREPARE {self._name} AS {self._numbered}")
            names.add(self._name)
        try:
            cursor.execute(self._execute, arguments)
        except NotSupportedError:
            # A column's type was altered, and the plan is of no use any more.
            database.close_at = 0
            raise

    def run_once(self, cursor: Any, arguments: Sequence[Any]) -> None:
        """Run the statement with a plan of its own."""
        if self._places is not None:
            arguments = [arguments[n] for n in self._places]
        cursor.execute(self.sql, arguments)


class _Compiling:
    """A query that is compiled at its first use, for each engine by itself."""

    # Whether it may be run once more where nobody knows whether it was.
    is_repeatable = True

    def __init__(self) -> None:
        self._compiled: dict[str, _Compiled] = {}

    def fetch(self, **values: Any) -> Sequence[Any]:
        """Run the query with these values, and give all rows.

        A connection that died while it was idle is opened again: that takes the place of Django's
        health check, which would ask the database for nothing once a request.
        """
        # The proxy for it, ``connection``, would look it up each time.
        database: Any = connections[DEFAULT_DB_ALIAS]
        database.health_check_done = True
        if not self.is_repeatable:
            _close_if_cut(database)
        try:
            return self._fetch(database, values)
        except NotSupportedError:
            # Plans are outdated; nothing was done.
            if database.in_atomic_block:
                raise
        except (OperationalError, InterfaceError):
            if database.in_atomic_block or not self.is_repeatable or database.is_usable():
                raise
        database.close()
        return self._fetch(database, values)

    def _fetch(self, database: Any, values: Mapping[str, Any]) -> Sequence[Any]:
        compiled = self._for_engine(database.vendor)
        if compiled.text is None:
            return []
        with database.cursor() as cursor:
            compiled.text.run(cursor, compiled.arguments(database, values))
            return compiled.convert(cursor.fetchall())

    def _for_engine(self, vendor: str) -> _Compiled:
        compiled = self._compiled.get(vendor)
        if compiled is None:
            compiled = self._compiled[vendor] = self._compile()
        return compiled

    def _compile(self) -> _Compiled:
        raise NotImplementedError


class Statement(_Compiling):
    """A query that is compiled at its first use.

    ``rows`` gives the queryset; what it would give is given here as well, objects or tuples. With
    ``is_page``, ``fetch`` and ``stream`` take ``limit`` and ``offset``, which Django would write
    into the text.
    """

    def __init__(
        self,
        rows: Callable[[], QuerySet[Any, Any]],
        *,
        is_page: bool = False,
        is_planned_anew: bool = False,
    ) -> None:
        super().__init__()
        self._rows = rows
        self.is_page = is_page
        self._is_planned_anew = is_planned_anew

    def stream(self, *, chunk: int, **values: Any) -> Generator[Sequence[Any], None, None]:
        """Run the statement, and give its rows piece by piece, from one snapshot."""
        compiled = self._for_engine(connection.vendor)
        if compiled.text is None:
            return
        with _snapshot(), connection.chunked_cursor() as cursor:
            compiled.text.run_once(cursor, compiled.arguments(connection, values))
            rows = cursor.fetchmany(chunk)
            while rows:
                yield compiled.convert(rows)
                rows = cursor.fetchmany(chunk) if len(rows) == chunk else []

    def _compile(self) -> _Compiled:
        query = self.query()
        if query is None:
            return _Compiled(None, (), list)
        sql, params = query.sql, query.params
        if connection.vendor == _POSTGRESQL:
            sql, params = with_constants(sql, params)
        places, distinct = _distinct(params)
        text = PreparedSQL(sql, len(distinct), places=places, is_planned_anew=self._is_planned_anew)
        return _Compiled(text, distinct, query.convert)

    def query(self) -> Query | None:
        """Give the SQL for the engine in use, None where no row can ever be found."""
        rows = self._rows()
        compiler = rows.query.get_compiler(connection=connection)
        try:
            sql, params = compiler.as_sql()
        except EmptyResultSet:
            return None
        if self.is_page:
            sql, params = f"{sql} LIMIT %s OFFSET %s", (*params, LIMIT, OFFSET)
        fields = [getattr(column, "target", None) for column, _, _ in compiler.select]
        return Query(sql, params, _conversion(rows, compiler), fields)


class Following(_Compiling):
    """Two statements in one, the second of which asks for what belongs to the first one's row.

    ``takes`` names a Param of the second, and the field of the first whose value it has. What is
    found is one pair: the first row of the first, whose first column is never null, and all rows
    of the second. A round to the database costs more than either of them; only PostgreSQL can
    spare one so.
    """

    is_one_of_many = False

    def __init__(
        self, first: Statement, second: Statement, *, takes: tuple[str, Field[Any, Any]]
    ) -> None:
        super().__init__()
        self._first = first
        self._second = second
        self._takes = takes

    @staticmethod
    @cache
    def is_possible() -> bool:
        """Tell whether the database can do it."""
        return bool(connections[DEFAULT_DB_ALIAS].vendor == _POSTGRESQL)

    def _compile(self) -> _Compiled:
        first, second = self._first.query(), self._second.query()
        if first is None:
            return _Compiled(None, (), list)
        sql, params = with_constants(first.sql, first.params)
        width = len(first.fields)
        convert: Convert = list
        between, others = self.between(first)
        text = f"WITH first ({_columns(width)}) AS ({sql} LIMIT 1){between} SELECT first.*"
        params = [*params, *others]
        if second is None:
            text = f"{text} FROM first"
        else:
            name, field = self._takes
            sql, others = with_constants(second.sql, second.params, {name: first.column_of(field)})
            # A row of its own for the first one: to tell it beside each of the second takes longer.
            text = (
                f"{text}, {_nulls(len(second.fields))} FROM first UNION ALL SELECT {_nulls(width)}"
            )
            text = f"{text}, second.* FROM first CROSS JOIN LATERAL ({sql}) AS second"
            params, convert = [*params, *others], second.convert

        def paired(rows: list[Row]) -> Sequence[Any]:
            if not rows:
                return []
            whose = next(row for row in rows if row[0] is not None)
            found = [row[width:] for row in rows if row is not whose]
            return [(first.convert([whose[:width]])[0], convert(found))]

        places, distinct = _distinct(params)
        prepared = PreparedSQL(
            text, len(distinct), places=places, is_one_of_many=self.is_one_of_many
        )
        return _Compiled(prepared, distinct, paired)

    def between(self, first: Query) -> tuple[str, Sequence[Param]]:
        """Give further parts for the WITH of the statement, each after a comma."""
        return "", ()


class Query(NamedTuple):
    """The SQL of a queryset, what makes of its rows what it gives, and each column's field."""

    sql: str
    params: Sequence[Any]
    convert: Convert
    fields: Sequence[Any]

    def column_of(self, field: Any) -> str:
        """Give what a field's value is called behind a first statement."""
        return f"first.column{self.fields.index(field)}"


def _close_if_cut(database: Any) -> None:
    """Close a connection that the server has closed; it is seen here without asking the server."""
    if database.connection is None or database.in_atomic_block:
        return
    waiting = select.poll()
    waiting.register(database.connection, select.POLLIN)
    # An idle connection has nothing to be read but its end.
    if waiting.poll(0):
        database.close()


def with_constants(
    sql: str, params: Sequence[Any], columns: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, Sequence[Param]]:
    """Write what is the same in every call into the text, so that it is planned with it.

    ``columns`` stand in the place of Params of these names.
    """
    operations: Any = connection.ops
    words, left = [], []
    for each in params:
        if not isinstance(each, Param):
            words.append(str(operations.compose_sql("%s", [each])).replace("%", "%%"))
        elif each.name in columns:
            words.append(columns[each.name])
        else:
            words.append("%s")
            left.append(each)
    return sql.replace("%%", "%%%%") % tuple(words), left


def _distinct(params: Sequence[Any]) -> tuple[list[int], list[Any]]:
    """Give each Param once, by its name, and which of them each place takes."""
    numbers: dict[Any, int] = {}
    distinct: list[Any] = []
    places = []
    for each in params:
        key = each.name if isinstance(each, Param) else object()
        if key not in numbers:
            numbers[key] = len(distinct)
            distinct.append(each)
        places.append(numbers[key])
    return places, distinct


def _columns(number: int) -> str:
    return ", ".join(f"column{n}" for n in range(number))


def _nulls(number: int) -> str:
    return ", ".join(["NULL"] * number)


class _Compiled:
    """What a statement became for one engine; without a text no row can ever be found."""

    def __init__(self, text: PreparedSQL | None, params: Sequence[Any], convert: Convert) -> None:
        self.text = text
        self.convert = convert
        is_postgresql = connection.vendor == _POSTGRESQL
        self._params = [
            (each, isinstance(each, Param), is_postgresql and _is_plain(each)) for each in params
        ]

    def arguments(self, database: Any, values: Mapping[str, Any]) -> list[Any]:
        """Give what the statement is run with; to prepare a value by its field takes 4 us."""
        return [
            values[each.name]
            if is_plain
            else each.output_field.get_db_prep_value(values[each.name], database)
            if is_param
            else each
            for each, is_param, is_plain in self._params
        ]


# What leaves a value as it is if it has the field's type.
_LEAVING = frozenset(
    {
        *(each.get_prep_value for each in (Field, BooleanField, CharField, DateTimeField)),
        *(each.get_prep_value for each in (IntegerField, TextField, ForeignKey)),
        *(each.get_db_prep_value for each in (Field, DateTimeField, IntegerField, ForeignKey)),
        AutoFieldMixin.get_db_prep_value,
    }
)


def _is_plain(param: Any) -> bool:
    """Tell whether PostgreSQL's driver takes the values of a Param's field as Python has them."""
    if not isinstance(param, Param):
        return False
    field: Any = param.output_field
    if isinstance(field, ForeignKey):
        field = field.target_field
    kind = type(field)
    return kind.get_prep_value in _LEAVING and kind.get_db_prep_value in _LEAVING


def _snapshot() -> AbstractContextManager[None]:
    """Open what PostgreSQL needs for a cursor; SQLite would lock out all that write."""
    return transaction.atomic() if connection.vendor == _POSTGRESQL else nullcontext()


def _conversion(rows: QuerySet[Any, Any], compiler: SQLCompiler) -> Convert:
    """Give what makes of fetched rows what the queryset would have made of them."""
    converters = compiler.get_converters([column for column, _, _ in compiler.select])

    def converted(fetched: list[Row]) -> list[Row]:
        if not converters:
            return fetched
        return [tuple(row) for row in compiler.apply_converters(fetched, converters)]

    if issubclass(rows._iterable_class, ValuesListIterable):
        return converted
    make = _maker(compiler)
    return lambda fetched: [make(row) for row in converted(fetched)]


def _maker(compiler: SQLCompiler) -> Callable[[Row], Model]:
    """Give what makes an object of a row, the related ones included, as Django does."""
    info: Any = compiler.klass_info
    model, first, last = info["model"], info["select_fields"][0], info["select_fields"][-1] + 1
    names = [column.target.attname for column, _, _ in compiler.select[first:last]]
    populators: Any = get_related_populators
    related = populators(info, compiler.select, connection.alias)
    annotations = compiler.annotation_col_map.items()

    def make(row: Row) -> Model:
        instance: Model = model.from_db(connection.alias, names, row[first:last])
        for each in related:
            each.populate(row, instance)
        for name, position in annotations:
            setattr(instance, name, row[position])
        return instance

    return make
