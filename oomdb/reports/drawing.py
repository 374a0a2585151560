"""Where everything of a chart lies: coordinates for the SVG template, in pixels from the upper left."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby

from oomdb.reports.charts import Chart, Line

_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 48, 34, 138  # room for the scale on both sides, the marks, the dates
_PLOT_HEIGHT = 180
_STEP, _NARROWEST = 30, 720  # pixels from point to point: a vertical date fits; width of a chart with few points
_GRIDLINES = 4
_CHANGE_WIDTH = 140  # of "counting method changed"
_ABOVE, _BELOW = -8, 16  # from a point to its value; of two lines in a chart, one has its values below
# colour, dashes, shape; each colour has 4.5:1 against white (WCAG 1.4.3: the numbers have it too)
_LOOKS = (
    ("#c9190b", "", "circle"),
    ("#0059b3", "7 3", "square"),
    ("#6a3d9a", "2 3", "circle"),
    ("#3e6b00", "9 3 2 3", "square"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the lines of a type look, in every chart; `number` is its place among the types."""

    number: int
    color: str
    dashes: str
    shape: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One value: where it is, where its number stands, and what is told about it."""

    x: int
    y: int
    count: int
    count_y: int
    hollow: bool
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cross:
    """A place at which nobody could look."""

    x: int
    y: int
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A place before which counting changed; it is named where the name before it leaves room."""

    x: int
    title: str
    is_named: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnLine:
    """One type: its paths are broken at gaps.

    Attributes:
        look: how the type looks.
        path: between values that are whole.
        least_path: between values of which both are the least there was; to a whole one nothing leads, since what
            looks like a rise or a fall there may be none.
        dots: the values.
    """

    look: Look
    path: str
    least_path: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A whole chart."""

    width: int
    height: int
    left: int
    right: int
    top: int
    base: int
    scale: tuple[tuple[int, int], ...]  # y, value
    dates: tuple[tuple[int, str], ...]  # x, label
    changes: tuple[Change, ...]
    lines: tuple[DrawnLine, ...]
    crosses: tuple[Cross, ...]


def look_of(type_: str, types: Sequence[str]) -> Look:
    """Return the look of a type; dash and shape tell lines apart without colour."""
    number = types.index(type_)
    color, dashes, shape = _LOOKS[number % len(_LOOKS)]
    return Look(number=number % len(_LOOKS), color=color, dashes=dashes, shape=shape)


def draw(chart: Chart, types: Sequence[str]) -> Drawing:
    """Return where the parts of a chart lie; `types` are those of all charts, in their order."""
    places = len(chart.places)
    width = max(_NARROWEST, _LEFT + _RIGHT + _STEP * places)
    apart = (width - _LEFT - _RIGHT) / max(places, 1)
    xs = [_LEFT + round(apart * (number + 0.5)) for number in range(places)]
    base = _TOP + _PLOT_HEIGHT
    step = _scale_step(max((value.count or 0 for line in chart.lines for value in line.values), default=0))
    top_value = step * _GRIDLINES

    def y_of(value: int) -> int:
        return base - round(_PLOT_HEIGHT * value / top_value)

    return Drawing(
        width=width,
        height=base + _BOTTOM,
        left=_LEFT,
        right=width - _RIGHT,
        top=_TOP,
        base=base,
        scale=tuple((y_of(step * number), step * number) for number in range(_GRIDLINES + 1)),
        dates=tuple((x, place.label) for x, place in zip(xs, chart.places, strict=True)),
        changes=tuple(_iter_changes(chart, [round(x - apart / 2) for x in xs])),
        lines=tuple(
            _draw_line(line, look_of(line.type, types), xs, y_of, below=bool(position % 2))
            for position, line in enumerate(chart.lines)
        ),
        crosses=tuple(_iter_crosses(chart.lines[0], xs, base)),
    )


def _iter_changes(chart: Chart, xs: Sequence[int]) -> Iterator[Change]:
    free_from = 0
    for x, place in zip(xs, chart.places, strict=True):
        if place.change:
            is_named = x >= free_from
            free_from = x + _CHANGE_WIDTH if is_named else free_from
            yield Change(x=x, title=place.change, is_named=is_named)


def _draw_line(line: Line, look: Look, xs: Sequence[int], y_of: Callable[[int], int], *, below: bool) -> DrawnLine:
    count_offset = _BELOW if below else _ABOVE
    dots = [
        Dot(
            x=x,
            y=y_of(value.count),
            count=value.count,
            count_y=y_of(value.count) + count_offset,
            hollow=value.at_least,
            title=value.title,
        )
        if value.count is not None
        else None
        for x, value in zip(xs, line.values, strict=True)
    ]
    return DrawnLine(
        look=look,
        path=_path_through(dots, hollow=False),
        least_path=_path_through(dots, hollow=True),
        dots=tuple(dot for dot in dots if dot),
    )


def _path_through(dots: Sequence[Dot | None], *, hollow: bool) -> str:
    """Return the path through the dots of one kind; it begins anew wherever another one lies between."""
    spells = groupby(dots, lambda dot: dot.hollow if dot else None)
    return "".join(
        "M" + "L".join(f"{dot.x} {dot.y}" for dot in spell if dot) for kind, spell in spells if kind is hollow
    )


def _iter_crosses(line: Line, xs: Sequence[int], base: int) -> Iterator[Cross]:
    """Iterate over the places at which nobody could look; they are the same for all lines of a chart."""
    for x, value in zip(xs, line.values, strict=True):
        if value.missing:
            yield Cross(x=x, y=base, title=value.title)


def _scale_step(most: int) -> int:
    """Return the distance of the gridlines: 1, 2 or 5 times a power of ten, so that the highest point fits."""
    sizes: Iterator[int] = (factor * 10**power for power in count() for factor in (1, 2, 5))
    return next(step for step in sizes if step * _GRIDLINES >= most)
