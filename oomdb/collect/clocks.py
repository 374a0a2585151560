"""A cluster's clock beside ours: from when on they differ, and how that is told."""

from datetime import timedelta

CLOCKS_AGREE = timedelta(minutes=1)  # a server's clock that differs by no more is taken for ours


def find_skew(seconds: float | None) -> timedelta:
    """Return how far a cluster's clock is ahead of ours (behind: below zero); zero where it is taken for ours.

    Args:
        seconds: how far it was measured to be ahead; None where nobody knows.
    """
    skew = timedelta(seconds=seconds or 0.0)
    return skew if abs(skew) > CLOCKS_AGREE else timedelta()


def tell_skew(skew: timedelta) -> str:
    """Return a skew for people, to whole seconds: `1:01:35 (h:mm:ss) ahead of this machine's`."""
    apart = timedelta(seconds=round(abs(skew).total_seconds()))
    return f"{apart} (h:mm:ss) {'ahead of' if skew > timedelta() else 'behind'} this machine's"
