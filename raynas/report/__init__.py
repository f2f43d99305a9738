"""A search and its networks for people and for programs, without a terminal: JSON documents, diagrams, wording."""
