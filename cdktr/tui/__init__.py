"""The terminal UI: what it is (`state`), how it looks (`view`), where facts come from (`feed`), the terminal (`screen`)."""
