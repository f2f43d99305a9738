"""What a search has found: its trials as tables, and the networks whose weights it kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from raynas.results.search_view import SearchView

if TYPE_CHECKING:
    import pandas
    from torch import nn

    from raynas.evaluators.evaluate import Evaluated


class SearchResult(SearchView):
    """A search, running or not, as its journal tells it, with its networks. Attributes as of ``SearchView``."""

    @property
    def trials(self) -> pandas.DataFrame:
        """All trials, a row each, indexed by their numbers: see ``raynas.report.tables.rows``."""
        from raynas.report.tables import trials_frame

        return trials_frame(self.report())

    @property
    def curves(self) -> pandas.DataFrame:
        """Every measurement, indexed by (trial, step): ``found.curves.loc[7]`` is trial 7's curve."""
        from raynas.report.tables import curves_frame

        return curves_frame(self.report())

    def build(
        self, trial: int | None = None, *, weights: bool = True, space: Any = None, task: Any = None
    ) -> nn.Module:
        """The network of a trial (default: the best) with the weights that the search kept, in eval mode, on the CPU.

        Args:
            trial: its number.
            weights: whether to load the kept weights; False gives new, random ones.
            space, task: again, where the search was made with objects and not with references.

        Raises:
            UserError: there is no such trial, or its weights are not kept.
        """
        from raynas.results.saved_weights import build

        return build(self, trial, weights=weights, space=space, task=task)

    def evaluate(
        self, data: str | Path, trial: int | None = None, *, space: Any = None, task: Any = None
    ) -> dict[int, Evaluated]:
        """What the networks that the search kept (or one trial's) do on images that it never saw, by trial.

        Args:
            data: a Parquet file or a folder, as the search's own; classes are matched by name.
            trial: only that trial's network.
            space, task: again, where the search was made with objects and not with references.

        Raises:
            UserError: no weights are kept, the search was not one of images, or the data cannot be used.
        """
        from raynas.results.held_out import evaluate

        found = evaluate(self, data, trial=trial, space=space, task=task)
        return {record.number: there for record, there in found}

    def _repr_html_(self) -> str:
        from raynas.report.notebook import as_html

        return as_html(self.report())
