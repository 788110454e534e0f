"""What the terminal UI is told: asks the principal for what the screen wants, and does what was decided.

Each kind of work has a thread and a connection of its own, so that nothing that takes long holds anything else up, and
the drawing thread never waits. What comes is handed over as events.
"""
