"""Data sets from their publishers: downloaded once, verified, kept in a cache, and opened by name from then on."""

from trainer.fetch.cache import fetched, opened
from trainer.fetch.sources import SOURCES, Source

__all__ = ["SOURCES", "Source", "fetched", "opened"]
