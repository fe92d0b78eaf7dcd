"""The request as pydantic checks it for the peers that let a framework do so."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class Flight(BaseModel):
    """One flight, by the contract's columns and ranges."""

    carrier: str
    origin: Literal["EWR", "JFK", "LGA"]
    destination: str
    scheduled_departure: datetime
    scheduled_arrival: int = Field(ge=0, le=1440)
    distance: float = Field(ge=0)
    temperature: float | None = Field(default=None, ge=-60, le=130)
    dew_point: float | None = Field(default=None, ge=-80, le=100)
    humidity: float | None = Field(default=None, ge=0, le=100)
    wind_direction: float | None = Field(default=None, ge=0, le=360)
    wind_speed: float | None = Field(default=None, ge=0, le=200)
    wind_gust: float | None = Field(default=None, ge=0, le=250)
    precipitation: float | None = Field(default=None, ge=0)
    pressure: float | None = Field(default=None, ge=850, le=1100)
    visibility: float | None = Field(default=None, ge=0)
    aircraft_year: int | None = Field(default=None, ge=1940, le=2013)
    manufacturer: str | None = None
    seats: int | None = Field(default=None, ge=1)
