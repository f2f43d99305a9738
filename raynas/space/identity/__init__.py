"""When two networks are the same, and what a network or a space is called."""
