"""How far a server's clock is ahead, told by dates that have whole seconds only."""

import pytest

from oomdb.kube.clock import ClockSkew

NOON = 1768478400.0  # Thu, 15 Jan 2026 12:00:00 GMT
DATE = "Thu, 15 Jan 2026 12:00:{:02} GMT"


def test_nothing_is_known_before_an_answer() -> None:
    assert ClockSkew().seconds is None


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Jan 2026 12:00:00 GMT"])
def test_a_date_that_cannot_be_read_tells_nothing(date: str) -> None:
    skew = ClockSkew()
    skew.note(date, sent_at=NOON, answered_at=NOON)
    assert skew.seconds is None


def test_the_middle_of_the_request_and_of_the_second_is_taken() -> None:
    skew = ClockSkew()
    skew.note(DATE.format(30), sent_at=NOON, answered_at=NOON + 2)
    assert skew.seconds == 29.5  # written between 12:00:30 and 12:00:31, while our clock was between 0 and 2 s


def test_a_server_behind_us_is_negative() -> None:
    skew = ClockSkew()
    skew.note(DATE.format(0), sent_at=NOON + 59.5, answered_at=NOON + 59.5)
    assert skew.seconds == -59


def test_each_answer_narrows_what_is_known() -> None:
    skew = ClockSkew()
    skew.note(DATE.format(10), sent_at=NOON, answered_at=NOON + 8)  # 2 to 11 ahead
    assert skew.seconds == 6.5
    skew.note(DATE.format(19), sent_at=NOON + 9.9, answered_at=NOON + 10)  # 9 to 10.1 ahead
    assert skew.seconds == pytest.approx(9.55)
    skew.note(DATE.format(50), sent_at=NOON + 20, answered_at=NOON + 45)  # 5 to 31 ahead: nothing new
    assert skew.seconds == pytest.approx(9.55)


def test_a_clock_that_was_set_makes_the_last_answer_count() -> None:
    skew = ClockSkew()
    skew.note(DATE.format(0), sent_at=NOON, answered_at=NOON)
    skew.note(DATE.format(59), sent_at=NOON + 1, answered_at=NOON + 1)
    assert skew.seconds == 58.5


def test_a_request_in_which_our_clock_was_set_back_tells_nothing() -> None:
    skew = ClockSkew()
    skew.note(DATE.format(0), sent_at=NOON + 30, answered_at=NOON)
    assert skew.seconds is None
