"""The registry of sources: what `data.source` may say, the options that go with it, and the class that reads."""

from __future__ import annotations

from omib_cli.recipe.options import Registry
from omib_cli.recipe.sources.media import AvDigitsOptions, CremaDOptions, MediaOptions
from omib_cli.recipe.sources.mosi import CmuMosiOptions
from omib_cli.recipe.sources.simulation import SimulationOptions
from omib_cli.recipe.sources.spatial import SpatialOptions
from omib_cli.recipe.sources.tables import TablesOptions

SOURCES = Registry("data source", "source")

SOURCES.add(SimulationOptions, "omib_cli.sources.simulation:SimulationSource")
SOURCES.add(TablesOptions, "omib_cli.sources.tables:TablesSource")
SOURCES.add(SpatialOptions, "omib_cli.sources.spatial.source:SpatialSource")
SOURCES.add(CremaDOptions, "omib_cli.sources.media.source:CremaDSource")
SOURCES.add(MediaOptions, "omib_cli.sources.media.source:MediaSource")
SOURCES.add(AvDigitsOptions, "omib_cli.sources.av_digits:AvDigitsSource")
SOURCES.add(CmuMosiOptions, "omib_cli.sources.mosi.source:CmuMosiSource")
