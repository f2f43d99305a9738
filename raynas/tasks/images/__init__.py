"""Classification of a person's own images: Parquet files, folders, arrays in memory.

``classification`` is the task; ``folder``, ``parquet`` and ``arrays`` read what a person has; ``decode`` makes images
of one shape from it; ``cache`` keeps these in one memory-mapped file that all processes of a machine share.
"""

from raynas.tasks.images.classification import ImageClassification

__all__ = ["ImageClassification"]
