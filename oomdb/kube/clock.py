"""How far a server's clock is from ours, as far as the Date headers of its answers tell."""

from email.utils import parsedate_to_datetime

_DATE_RESOLUTION_SECONDS = 1.0  # Date has whole seconds, cut off: the answer was written within the second it names


class ClockSkew:
    """What all answers say together: each narrows the range in which the difference lies."""

    def __init__(self) -> None:
        self._range: tuple[float, float] | None = None

    @property
    def seconds(self) -> float | None:
        """The server's clock minus ours, the middle of what is possible; None before an answer with a date."""
        return None if self._range is None else sum(self._range) / 2

    def note(self, date: str, *, sent_at: float, answered_at: float) -> None:
        """Take account of an answer.

        Args:
            date: its Date header, '' for none; what cannot be read tells nothing.
            sent_at: when the request was sent, by our clock (Unix time).
            answered_at: when the answer's headers were there, by our clock.
        """
        try:
            written_at = parsedate_to_datetime(date).timestamp()
        except (TypeError, ValueError, OverflowError):
            return
        least, most = written_at - answered_at, written_at + _DATE_RESOLUTION_SECONDS - sent_at
        if least > most:  # our clock was set while we waited
            return
        if self._range is not None and least <= self._range[1] and most >= self._range[0]:
            least, most = max(least, self._range[0]), min(most, self._range[1])
        self._range = (least, most)  # where nothing agrees with what was known, a clock was set: the last one counts
