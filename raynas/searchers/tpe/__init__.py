"""The ``tpe`` strategy: Optuna's tree-structured Parzen estimator, and the window of trials that it looks at."""

from raynas.searchers.tpe.searcher import TPESearcher

__all__ = ["TPESearcher"]
