"""Closed sets of words, as enum.StrEnum has them from Python 3.11 on."""

from enum import Enum


class Word(str, Enum):  # noqa: UP042 - CPython 3.10 has no StrEnum
    """One of a closed set of words: equal to its text, and printed as it."""

    __str__ = str.__str__
