"""Options that several commands share, and a person's words as values."""
