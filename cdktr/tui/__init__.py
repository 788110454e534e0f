"""The terminal UI: what it is (`state`), how it looks (`view`), what it is told (`feed`), the terminal (`screen`)."""
