"""The state of the terminal UI as rows of styled text. The law: what is drawn follows from the state alone.

`render(state)` makes exactly as many rows as the terminal has, each exactly as wide. Styles are meanings (`good`,
`dim`, `border`); which colours they have is the terminal's affair, and none of them is the only sign of anything.
"""
