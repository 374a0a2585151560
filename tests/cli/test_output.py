"""The same rows in every format, nothing that draws on a terminal, nothing that a spreadsheet runs."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from oomdb.cli.options import App, Format, Output, Verbosity
from oomdb.cli.output import Paint, emit, escape_controls, note, paint_for
from oomdb.errors import OomdbError
from oomdb.settings import Settings
from oomdb.table import Cell, Table, guard_cell, unguard_cell

HOSTILE = '\x1b[31mred\n<script>alert(1)</script>\t../../etc\u202e"q",\'=1 \U0001f4a5\r'


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def app(*, verbosity: Verbosity = "normal", color: bool = True) -> App:
    return App(
        database="x.sqlite",
        output_folder=Path("output"),
        color=color,
        verbosity=verbosity,
        zone=timezone(timedelta(hours=1), "CET"),
        settings=Settings(),
        now=datetime(2026, 1, 15, 15, tzinfo=UTC),
    )


def printed(
    capsys: pytest.CaptureFixture[str],
    rows: list[tuple[Cell, ...]],
    *,
    headers: tuple[str, ...] = ("a", "b"),
    format: Format = "table",
    with_headers: bool = True,
    limit: int | None = None,
) -> str:
    emit(Table(headers, iter(rows)), Output(format=format, headers=with_headers, limit=limit), app())
    return capsys.readouterr().out


ALL_TYPES: list[tuple[Cell, ...]] = [
    ("text", 1, 1.5, True, datetime(2026, 1, 15, 15, 0, 0, 999, tzinfo=UTC), ["x", "ž"], {"y": 2}, b"oom", None),
    ("", -12, -0.25, False, None, [], {}, b"", float("nan")),
]
TYPE_NAMES = ("text", "int", "float", "bool", "at", "list", "dict", "blob", "none")


def test_a_table_is_aligned_and_speaks_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, ALL_TYPES, headers=TYPE_NAMES) == (
        "text      int    float  bool    at                       list    dict    blob         none\n"
        "------  -----  -------  ------  -----------------------  ------  ------  ---------  ------\n"
        "text        1      1.5  yes     2026-01-15 16:00:00 CET  x, ž    y=2     x'6f6f6d'       –\n"
        "          -12    -0.25  no      –                                        x''             –\n"
    )


def test_csv_is_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, ALL_TYPES, headers=TYPE_NAMES, format="csv") == (
        "text,int,float,bool,at,list,dict,blob,none\n"
        'text,1,1.5,true,2026-01-15T15:00:00Z,"[""x"", ""ž""]","{""y"": 2}",x\'6f6f6d\',\n'
        ",-12,-0.25,false,,[],{},x'',\n"
    )


def test_json_keeps_the_types(capsys: pytest.CaptureFixture[str]) -> None:
    expected: list[dict[str, Any]] = [
        {
            "text": "text",
            "int": 1,
            "float": 1.5,
            "bool": True,
            "at": "2026-01-15T15:00:00Z",
            "list": ["x", "ž"],
            "dict": {"y": 2},
            "blob": "x'6f6f6d'",
            "none": None,
        },
        {
            "text": "",
            "int": -12,
            "float": -0.25,
            "bool": False,
            "at": None,
            "list": [],
            "dict": {},
            "blob": "x''",
            "none": None,
        },
    ]
    assert json.loads(printed(capsys, ALL_TYPES, headers=TYPE_NAMES, format="json")) == expected
    lines = printed(capsys, ALL_TYPES, headers=TYPE_NAMES, format="nl").splitlines()
    assert [json.loads(line) for line in lines] == expected


def test_a_json_array_has_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, [(1, None), (2, "x")], format="json") == '[{"a": 1, "b": null},\n {"a": 2, "b": "x"}]\n'


@pytest.mark.parametrize(
    ("format", "text"),
    [("table", "a    b\n---  ---\n"), ("json", "[]\n"), ("nl", ""), ("csv", "a,b\n"), ("tsv", "a\tb\n")],
)
def test_no_rows_are_an_empty_list(format: Format, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, [], format=format) == text


@pytest.mark.parametrize(
    ("format", "text"),
    [("table", "x   1\ny  22\n"), ("csv", "x,1\ny,22\n"), ("tsv", "x\t1\ny\t22\n")],
)
def test_headers_can_be_left_out(format: Format, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, [("x", 1), ("y", 22)], format=format, with_headers=False) == text


def test_an_empty_table_without_headers_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, [], with_headers=False) == ""


def test_texts_that_look_like_numbers_stay_texts(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, [("007", "1e5"), ("1_000", "nan")], with_headers=False) == "007    1e5\n1_000  nan\n"


def test_a_hostile_name_cannot_draw_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, [(HOSTILE, [HOSTILE])], headers=("a\x1b[2J", "b"))
    assert len(text.splitlines()) == 3
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert "\\x1b[31mred\\n<script>" in text


@pytest.mark.parametrize(("format", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_a_hostile_name_is_the_same_after_csv_and_tsv(
    format: Format, delimiter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[tuple[Cell, ...]] = [(HOSTILE, "=1"), ("\rx", "a\rb"), ("\n", '"')]
    text = printed(capsys, rows, format=format, with_headers=False)
    read = [tuple(map(unguard_cell, row)) for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)]
    assert read == rows


def test_a_hostile_name_is_the_same_after_json(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, [(HOSTILE, None)], format="nl")
    assert text.count("\n") == 1
    assert json.loads(text)["a"] == HOSTILE


def test_numbers_are_not_guarded_and_headers_are(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, [(-1, "-1"), (-2.5, "@x")], headers=("=a", "b"), format="csv")
    assert text == "'=a,b\n-1,'-1\n-2.5,'@x\n"


def test_headers_that_come_twice_are_two_keys(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, [(1, 2, 3, 4)], headers=("id", "id", "id_2", "id"), format="nl")
    assert json.loads(text) == {"id": 1, "id_2": 2, "id_2_2": 3, "id_3": 4}


@pytest.mark.parametrize("format", ["table", "json", "nl", "csv", "tsv"])
@pytest.mark.parametrize(("limit", "count", "is_cut"), [(1, 1, True), (2, 2, True), (3, 3, False), (9, 3, False)])
def test_a_limit_is_said_where_it_cut(
    format: Format, limit: int, count: int, is_cut: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    emit(Table(("n",), iter([("r1",), ("r2",), ("r3",)])), Output(format=format, limit=limit), app())
    out, err = capsys.readouterr()
    assert sum(name in out for name in ("r1", "r2", "r3")) == count
    assert err.endswith(f" first {limit} rows; more exist: raise --limit to see them.\n") is is_cut
    assert bool(err) is is_cut


@pytest.mark.parametrize("format", ["json", "nl", "csv", "tsv"])
def test_rows_are_printed_as_they_come(format: Format, capsys: pytest.CaptureFixture[str]) -> None:
    seen = []

    def rows() -> Iterator[tuple[Cell, ...]]:
        for number in range(3):
            yield (f"row-{number}",)
            seen.append(f"row-{number}" in capsys.readouterr().out)

    emit(Table(("n",), rows()), Output(format=format), app())
    assert seen == [True, True, True]


def test_a_closed_stdout_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(OomdbError, match="standard output is closed"):
        emit(Table(("a",), [("x",)]), Output(), app())


def test_a_note_has_the_time_where_it_goes_to_a_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    note("a\nb", app(), clock=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    note("unheard", app(verbosity="quiet"))
    assert capsys.readouterr().err == "2026-01-02T03:04:05Z a\\nb\n"
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    note("a", app())
    assert terminal.getvalue() == "a\n"


def test_colours_are_for_terminals_that_want_them() -> None:
    assert paint_for(app(), Terminal()) == Paint(True)
    assert paint_for(app(), io.StringIO()) == Paint(False)
    assert paint_for(app(color=False), Terminal()) == Paint(False)


def test_each_meaning_has_its_colour_and_names_are_escaped() -> None:
    paint = Paint(True)
    assert paint.cluster("c\x1b") == "\x1b[36mc\\x1b\x1b[0m"
    assert paint.namespace("n") == "\x1b[33mn\x1b[0m"
    assert paint.finding("f") == "\x1b[31mf\x1b[0m"
    assert paint.clean("g") == "\x1b[32mg\x1b[0m"
    assert paint.skipped("s") == "\x1b[90ms\x1b[0m"
    assert Paint(False).finding("f\n") == "f\\n"


def test_what_can_be_printed_is_not_escaped() -> None:
    assert escape_controls("žluťoučký kůň 💥 C:\\new") == "žluťoučký kůň 💥 C:\\new"
    assert escape_controls("\x9b\u2028\u200b\udc80") == "\\x9b\\u2028\\u200b\\udc80"


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\n=1",
        "  =1",
        "\u00a0=1",
        "\ufeff=1",
        "\x00=1",
        "＝1",
        "-",
        "'=1",
        "''@",
    ],
)
def test_texts_that_a_spreadsheet_runs_are_guarded_and_given_back(text: str) -> None:
    assert guard_cell(text) == f"'{text}"
    assert unguard_cell(guard_cell(text)) == text


@pytest.mark.parametrize("text", ["", "'", "''", "'tis", "a=1", "web-1", "  a", "'a-b", "1-2", "💥"])
def test_other_texts_are_left_alone(text: str) -> None:
    assert guard_cell(text) == text
    assert unguard_cell(text) == text


def test_the_guard_can_be_undone_for_every_short_text() -> None:
    letters = "'=-\t \na＠"
    texts = [""]
    for _ in range(5):
        texts += [text + letter for text in texts if len(text) < 5 for letter in letters]
        texts = list(dict.fromkeys(texts))
    assert all(unguard_cell(guard_cell(text)) == text for text in texts)
    assert len({guard_cell(text) for text in texts}) == len(texts)
