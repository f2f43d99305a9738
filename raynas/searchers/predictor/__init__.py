"""The ``predictor`` strategy: Gaussian processes over architectures, and the distances that they need."""

from raynas.searchers.predictor.searcher import PredictorSearcher

__all__ = ["PredictorSearcher"]
