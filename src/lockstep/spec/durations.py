"""Moments and durations as the spec writes them, and the arithmetic between them."""

from __future__ import annotations

import calendar
import re
from datetime import datetime, timedelta

DURATION_PATTERN = r"^(\d+) (minute|hour|day|week|month|year)s?$"
MOMENT_PATTERN = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?$"


def parse_duration(text: str) -> tuple[int, str]:
    """Number and unit of a duration.

    >>> parse_duration("3 months")
    (3, 'month')
    """
    match = re.match(DURATION_PATTERN, text)
    assert match, text
    return int(match[1]), match[2]


def parse_moment(text: str) -> datetime:
    """A moment of the spec, without a zone.

    >>> parse_moment("2013-01-01")
    datetime.datetime(2013, 1, 1, 0, 0)
    """
    return datetime.fromisoformat(text)


def earlier(moment: datetime, duration: str) -> datetime:
    """The moment one `duration` before. Months and years are the calendar's; a day that a month lacks becomes its last.

    Raises `OverflowError` or `ValueError` before the year 1.

    >>> earlier(datetime(2013, 5, 31), "3 months")
    datetime.datetime(2013, 2, 28, 0, 0)
    >>> earlier(datetime(2013, 1, 1), "36 hours")
    datetime.datetime(2012, 12, 30, 12, 0)
    """
    number, unit = parse_duration(duration)
    if unit not in ("month", "year"):
        return moment - timedelta(**{f"{unit}s": number})
    year, month = divmod(moment.year * 12 + moment.month - 1 - number * (12 if unit == "year" else 1), 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def check_duration(text: str) -> str:
    """The text itself. Raises `ValueError` with a sentence if it is no duration."""
    if not re.match(DURATION_PATTERN, text):
        raise ValueError(
            'a duration is a number and a unit: "1 day", "3 months" (minute, hour, day, week, month, year).'
        )
    if parse_duration(text)[0] > 1_000_000:
        raise ValueError("so long a duration cannot be meant.")
    return text


def check_moment(text: str) -> str:
    """The text itself. Raises `ValueError` with a sentence if it is no date or time."""
    if not re.match(MOMENT_PATTERN, text):
        raise ValueError('expected a quoted date or time without a zone, like "2013-01-01" or "2013-01-01T06:00".')
    try:
        parse_moment(text)
    except ValueError as error:
        raise ValueError(f"no such date or time: {error}.") from None
    return text
