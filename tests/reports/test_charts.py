"""What the charts show: counts, gaps where nobody could look, marks where the counting changed, days beyond a bound."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED
from oomdb.queries.series import RunPoint
from oomdb.reports.charts import MOST_POINTS, Chart, ChartSet, build_charts
from tests.reports.contents import point, series

START = datetime(2026, 1, 1, tzinfo=UTC)


def charts_of(*points: RunPoint) -> ChartSet:
    return build_charts(series(*points), zone=UTC)


def chart_of(cluster: str, *points: RunPoint) -> Chart:
    return next(chart for chart in charts_of(*points).clusters if chart.name == cluster)


def counts(chart: Chart, type_: str = OOM_KILLED) -> list[int | None]:
    return [value.count for line in chart.lines if line.type == type_ for value in line.values]


def kills(count: int, cluster: str = "c1") -> dict[tuple[str, str], int]:
    return {(cluster, OOM_KILLED): count}


def every_three_hours(number: int, count: int = 0, **given: object) -> RunPoint:
    return point(number, kills(count), at=START + timedelta(hours=3 * number), **given)  # type: ignore[arg-type]


def test_a_cluster_that_was_read_and_shows_nothing_is_zero() -> None:
    assert counts(chart_of("c1", point(1), point(2, kills(3)))) == [0, 3]


def test_a_cluster_that_could_not_be_read_is_a_gap_that_says_why() -> None:
    chart = chart_of("c1", point(1, kills(3)), point(2, statuses={"c1": "unreachable"}), point(3, kills(2)))
    assert counts(chart) == [3, None, 2]
    gap = chart.lines[0].values[1]
    assert gap.missing == "unreachable"
    assert gap.title == "run 2, 19-Feb-2026 06:00, c1: OOMKilled not known: unreachable"
    assert chart.notes == ("× Not looked at: 19-Feb-2026 06:00 (unreachable).",)


def test_a_run_that_did_not_ask_for_a_known_cluster_is_a_gap() -> None:
    chart = chart_of("c2", point(1, statuses={"c2": "complete"}), point(2))
    assert counts(chart) == [0, None]
    assert chart.lines[0].values[1].missing == "not asked for"


def test_before_a_cluster_was_known_nothing_is_missed() -> None:
    chart = chart_of("c2", point(1), point(2, statuses={"c1": "complete", "c2": "complete"}))
    assert counts(chart) == [None, 0]
    assert [value.missing for value in chart.lines[0].values] == ["", ""]
    assert chart.notes == ()


def test_what_a_partial_read_shows_is_the_least_there_was() -> None:
    chart = chart_of("c1", point(1, kills(3), statuses={"c1": "partial"}), point(2))
    first, second = chart.lines[0].values
    assert first.at_least
    assert not second.at_least
    assert "at least 3 OOMKilled rows, partial" in first.title
    assert chart.notes == ("○ Hollow points are the least there was: in 1 of 2 runs the cluster was read in part.",)


def test_the_sum_over_all_clusters_is_the_least_where_one_was_not_read_and_a_gap_where_none_was() -> None:
    both = {"c1": "complete", "c2": "complete"}
    (ooms, _loops) = charts_of(
        point(1, kills(3) | kills(4, "c2"), statuses=both),
        point(2, kills(3), statuses=both | {"c2": "forbidden"}),
        point(3, statuses={"c1": "unreachable", "c2": "unreachable"}),
    ).overall
    assert counts(ooms) == [7, 3, None]
    assert [value.at_least for value in ooms.lines[0].values] == [False, True, False]
    assert ooms.lines[0].values[1].title == (
        "run 2, 19-Feb-2026 06:00, all clusters: at least 3 OOMKilled rows, 1 of 2 clusters not read"
    )
    assert ooms.notes == (
        "× Not looked at: 19-Feb-2026 14:00 (no cluster could be read).",
        "○ Hollow points are the least there was: in 1 of 3 runs some clusters were not read as a whole "
        "(mostly: 1 of 2 clusters not read).",
    )


def test_many_gaps_are_told_by_spells_and_the_earlier_ones_are_counted() -> None:
    down = {"c1": "unreachable"}
    points = [point(number, statuses=down if number % 2 else None) for number in range(14)]
    (note,) = chart_of("c1", *points).notes
    assert note.count("unreachable") == 5
    assert note.endswith("; and 2 earlier times.")
    (note,) = chart_of("c1", point(1), *(point(number, statuses=down) for number in (2, 3, 4))).notes
    assert note == "× Not looked at: 19-Feb-2026 06:00 to 19-Feb-2026 22:00 (3 runs: unreachable)."


def test_a_change_of_origin_or_version_is_marked_where_it_happened() -> None:
    charts = charts_of(point(1, origin="import", version="fb2d521"), point(2), point(3), point(4, version="1.1"))
    assert [place.change for place in charts.overall[0].places] == [
        "",
        "from import fb2d521 to collect 1.0",
        "",
        "from collect 1.0 to collect 1.1",
    ]


def test_clusters_are_ordered_by_the_total_of_their_rows() -> None:
    statuses = {"a": "complete", "b": "complete", "c": "complete"}
    points = [point(number, kills(number, "b") | kills(9, "c"), statuses=statuses) for number in (1, 2)]
    assert [(chart.name, chart.total) for chart in charts_of(*points).clusters] == [("c", 18), ("b", 3), ("a", 0)]


def test_a_plug_ins_type_has_a_chart_and_a_line_too() -> None:
    charts = charts_of(point(1, {("c1", "Evicted"): 2}))
    assert charts.types == (OOM_KILLED, CRASH_LOOP_BACK_OFF, "Evicted")
    assert counts(charts.overall[2], "Evicted") == [2]
    assert counts(charts.clusters[0], "Evicted") == [2]


def test_up_to_the_bound_each_run_is_a_point() -> None:
    charts = charts_of(*(every_three_hours(number) for number in range(MOST_POINTS)))
    assert len(charts.overall[0].places) == MOST_POINTS
    assert charts.axis == "One point a run."
    assert charts.overall[0].places[1].label == "01-Jan-2026 03:00"


def test_beyond_the_bound_a_point_is_the_days_maximum_and_the_axis_says_so() -> None:
    points = [every_three_hours(number, count=number % 8) for number in range(MOST_POINTS + 8)]
    charts = charts_of(*points)
    assert charts.axis == "More than 120 runs, so one point a day: the day's maximum over the runs."
    assert [place.label for place in charts.overall[0].places][:2] == ["01-Jan-2026", "02-Jan-2026"]
    assert counts(charts.overall[0]) == [7] * 16
    assert charts.overall[0].lines[0].values[0].title == (
        "run 7, 01-Jan-2026 21:00, all clusters: 7 OOMKilled rows, 1 of 1 clusters read; the most of 8 runs"
    )


def test_of_a_day_the_runs_that_could_look_count_and_the_others_are_told() -> None:
    down = {"c1": "unreachable"}
    points = [
        every_three_hours(number, statuses=down if number < 8 or number == 9 else None)
        for number in range(MOST_POINTS + 8)
    ]
    values = chart_of("c1", *points).lines[0].values
    assert (values[0].count, values[0].missing) == (None, "unreachable")
    assert values[1].count == 0
    assert values[1].title.endswith("the most of 8 runs, 1 of which could not look")


def test_a_day_without_a_run_is_a_gap() -> None:
    points = [every_three_hours(number) for number in range(MOST_POINTS + 16) if not 8 <= number < 16]
    chart = chart_of("c1", *points)
    assert [value.missing for value in chart.lines[0].values][:3] == ["", "no run", ""]
    assert counts(chart)[:3] == [0, None, 0]


def test_years_are_shown_by_several_days_a_point() -> None:
    points = [point(number, kills(number), at=START + timedelta(days=number)) for number in range(365)]
    charts = charts_of(*points)
    assert charts.axis == "More than 120 runs, so one point for 4 days: their maximum over the runs."
    assert len(charts.overall[0].places) == 92
    assert counts(charts.overall[0])[:2] == [3, 7]


def test_days_are_those_of_the_readers_zone() -> None:
    points = [every_three_hours(number) for number in range(MOST_POINTS + 8)]
    charts = build_charts(series(*points), zone=ZoneInfo("America/New_York"))
    assert charts.overall[0].places[0].label == "31-Dec-2025"


def test_a_series_without_runs_has_charts_without_points() -> None:
    charts = charts_of()
    assert [len(chart.places) for chart in charts.overall] == [0, 0]
    assert charts.clusters == ()


def test_a_known_cluster_that_a_run_did_not_ask_for_makes_the_sum_the_least_there_was() -> None:
    both = {"c1": "complete", "c2": "complete"}
    month = timedelta(days=31)
    ooms = charts_of(
        point(1, kills(3) | kills(4, "c2"), statuses=both, at=START),
        point(2, kills(3), at=START + timedelta(days=1)),
        point(3, kills(3), at=START + month),
    ).overall[0]
    values = ooms.lines[0].values
    assert [(value.count, value.at_least) for value in values] == [(7, False), (3, True), (3, False)]
    assert values[1].title.endswith("at least 3 OOMKilled rows, 1 of 2 clusters not asked for")


def test_places_without_a_run_are_told_below_the_chart() -> None:
    points = [every_three_hours(number) for number in range(MOST_POINTS + 16) if not 8 <= number < 16]
    assert chart_of("c1", *points).notes == ("× also marks 1 place without any run.",)
