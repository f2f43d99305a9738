"""The append-only record of a search, and the view that everything learns from; the contract is ``docs/journal.md``."""

from raynas.journal.history import History, MeasurementRecord, SessionRecord, TrialRecord
from raynas.journal.reader import read, read_from
from raynas.journal.writer import Writer

__all__ = ["History", "MeasurementRecord", "SessionRecord", "TrialRecord", "Writer", "read", "read_from"]
