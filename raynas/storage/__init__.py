"""Where a search lies: its folder, its trials' logs, and copies of a person's own files."""
