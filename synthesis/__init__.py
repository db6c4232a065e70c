"""Music made from a seed, with known stems. NumPy alone, so that every environment can make it."""

from synthesis.score import Note, Score, compose
from synthesis.song import STEMS, Song, song

__all__ = ["STEMS", "Note", "Score", "Song", "compose", "song"]
