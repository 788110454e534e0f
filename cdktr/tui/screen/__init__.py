"""The terminal: frames onto it, keys and clicks from it, and whole again at the end, however that comes.

Only here asciimatics and curses are known, and what the environment says of the terminal.
"""
