"""What a search has found: a view of its journal, and the networks whose weights it kept."""
