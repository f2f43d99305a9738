"""The pieces of a template: holes, choices, operations, chains and graphs."""
