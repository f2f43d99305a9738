"""What a search says while it runs."""
