"""What a person asks of a search, and the space, task, evaluator, searcher and stopping rule that follow from it."""
