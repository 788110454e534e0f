"""The terminal: keys become events, frames become characters, and it is left as it was found.

The law: only this package knows asciimatics and curses, and looks at TERM, NO_COLOR and the locale. It decides nothing.
"""
