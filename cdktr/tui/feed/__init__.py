"""Where the terminal UI's facts come from: all requests to the principal, each off the drawing thread.

The law: nothing here decides what is shown. What is wanted comes from the state, what was told goes back as events.
"""
