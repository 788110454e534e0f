"""The terminal UI as a value, and what becomes of it. The law: nothing outside this package decides anything.

`update(state, event)` answers with the next state and the commands that somebody else is to carry out. Every event may
come in every state. Time is in the events, the size of the terminal in the state; nothing here waits, draws or asks.
"""
