"""Laying out describe text: lines of cells, indented by levels, aligned as Go's tabwriter does, nothing unseen."""

import re

_INDENT = "  "
_PADDING = 2


class Page:
    """Lines of cells; columns of consecutive lines are aligned when the page is rendered.

    Cells are printed as they are given: what comes from a cluster goes through `one_line` or `many_lines` first.
    """

    def __init__(self) -> None:
        self._lines: list[list[str]] = []

    def line(self, level: int, *cells: str) -> None:
        """Add a line; its first cell is indented by two blanks a level."""
        self._lines.append([_INDENT * level + cells[0], *cells[1:]])

    def field(self, level: int, label: str, text: str) -> None:
        """Add a label and a text; its further lines stand below its first, so that none looks like a label."""
        first, *rest = many_lines(text)
        self.line(level, label, first)
        for more in rest:
            self.line(level, "", more)

    def render(self) -> str:
        """Return the aligned text.

        A column is as wide as its widest cell and two blanks, and ends at the first line that has no cell to the
        right of it (source: text/tabwriter, as kubectl sets it up: padding 2, blanks, last cells not padded).
        """
        padded = ["".join(cells) for cells in _align(self._lines)]
        return "\n".join([*padded, ""])


def one_line(text: str) -> str:
    """Return a text as one line in which control and direction characters are seen instead of obeyed.

    Escape is `^[` and carriage return `\\r`, as kubectl prints them (k8s.io/cli-runtime/pkg/printers/terminal.go).
    """
    return text if text.isprintable() else _UNSEEN.sub(_show, text)


def many_lines(text: str) -> list[str]:
    """Return the lines of a text, each made safe by `one_line`, tabs as blanks; at least one line."""
    if text.isprintable():
        return [text]
    return [one_line(line.expandtabs(4)) for line in text.removesuffix("\n").split("\n")]


# Control characters, line separators, what reorders text or takes no room, and halves of surrogate pairs. The joiners
# U+200C and U+200D are left alone: scripts and emoji need them, and they move nothing.
UNSEEN_BEYOND_ASCII = "\u0080-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff"
_UNSEEN = re.compile(f"[\x00-\x1f\x7f{UNSEEN_BEYOND_ASCII}]")
_SHOWN = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x7f": "^?"}


def _show(match: re.Match[str]) -> str:
    char = match[0]
    if char in _SHOWN:
        return _SHOWN[char]
    return f"^{chr(ord(char) + 64)}" if char < " " else f"\\u{ord(char):04x}"


def _align(lines: list[list[str]]) -> list[list[str]]:
    aligned = [list(cells) for cells in lines]
    column = 0
    while any(len(cells) > column + 1 for cells in aligned):
        _align_column(aligned, column)
        column += 1
    return aligned


def _align_column(lines: list[list[str]], column: int) -> None:
    block: list[list[str]] = []
    for cells in [*lines, []]:
        if len(cells) > column + 1:
            block.append(cells)
        elif block:
            width = max(len(each[column]) for each in block) + _PADDING
            for each in block:
                each[column] = each[column].ljust(width)
            block = []
