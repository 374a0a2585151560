"""Where the parts of a chart lie."""

from datetime import UTC
from itertools import pairwise

import pytest

from oomdb.model import OOM_KILLED
from oomdb.queries.series import RunPoint
from oomdb.reports.charts import build_charts
from oomdb.reports.drawing import Drawing, draw, look_of
from tests.reports.contents import point, series


def drawing_of(*points: RunPoint) -> Drawing:
    charts = build_charts(series(*points), zone=UTC)
    return draw(charts.clusters[0], charts.types)


def kills(number: int, count: int) -> RunPoint:
    return point(number, {("c1", OOM_KILLED): count})


def test_points_stand_as_high_as_their_counts() -> None:
    dots = drawing_of(kills(1, 0), kills(2, 4), kills(3, 2)).lines[0].dots
    assert [dot.count for dot in dots] == [0, 4, 2]
    assert dots[0].y - dots[1].y == 2 * (dots[0].y - dots[2].y)
    assert dots[0].x < dots[1].x < dots[2].x


@pytest.mark.parametrize(("most", "top"), [(0, 4), (4, 4), (5, 8), (13, 20), (40, 40), (41, 80), (999, 2000)])
def test_the_scale_has_round_steps_above_the_highest_point(most: int, top: int) -> None:
    assert drawing_of(kills(1, most)).scale[-1][1] == top


def test_a_line_is_broken_where_nobody_could_look_and_a_cross_marks_it() -> None:
    drawing = drawing_of(kills(1, 1), kills(2, 2), point(3, statuses={"c1": "unreachable"}), kills(4, 2))
    path = drawing.lines[0].path
    assert path.count("M") == 2
    assert path.count("L") == 1
    (cross,) = drawing.crosses
    assert drawing.lines[0].dots[1].x < cross.x < drawing.lines[0].dots[2].x
    assert "unreachable" in cross.title


def test_no_line_leads_from_a_whole_count_to_one_that_is_the_least_there_was() -> None:
    partial = {"c1": "partial"}
    line = drawing_of(kills(1, 5), point(2, statuses=partial), point(3, statuses=partial), kills(4, 5)).lines[0]
    assert (line.path.count("M"), line.path.count("L")) == (2, 0)
    assert (line.least_path.count("M"), line.least_path.count("L")) == (1, 1)
    assert [dot.hollow for dot in line.dots] == [False, True, True, False]


def test_many_points_make_the_chart_wider_and_few_do_not_make_it_small() -> None:
    few, many = drawing_of(kills(1, 1)), drawing_of(*(kills(number, 1) for number in range(120)))
    assert few.width == 720
    assert many.width > 120 * 30
    gaps = {after.x - before.x for before, after in zip(many.lines[0].dots, many.lines[0].dots[1:], strict=False)}
    assert gaps <= {30}


def test_a_change_of_counting_is_marked_between_the_points() -> None:
    drawing = drawing_of(point(1, version="1.0"), point(2, version="2.0"))
    (change,) = drawing.changes
    first, second = drawing.lines[0].dots
    assert first.x < change.x < second.x
    assert change.title == "from collect 1.0 to collect 2.0"


def test_changes_that_follow_each_other_closely_are_named_once() -> None:
    drawing = drawing_of(*(point(number, version=str(number)) for number in range(40)))
    assert len(drawing.changes) == 39
    named = [change.x for change in drawing.changes if change.is_named]
    assert 1 < len(named) < 10
    assert all(after - before >= 140 for before, after in pairwise(named))


def test_types_differ_by_dashes_or_shape_not_by_colour_alone() -> None:
    looks = [look_of(type_, "abcdef") for type_ in "abcdef"]
    assert len({(look.dashes, look.shape) for look in looks[:4]}) == 4
    assert looks[4] == looks[0]


def test_the_colours_are_readable_on_paper() -> None:
    for number in range(4):
        assert _contrast_to_white(look_of("abcd"[number], "abcd").color) >= 4.5


def _contrast_to_white(color: str) -> float:
    """WCAG 2.1, relative luminance and contrast ratio."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def test_a_chart_without_points_can_be_drawn() -> None:
    charts = build_charts(series(), zone=UTC)
    assert draw(charts.overall[0], charts.types).lines[0].dots == ()
