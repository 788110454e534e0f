"""What systemd reads in a line of a unit."""

import re


def words_of(value: str) -> list[str]:
    """The words of an ExecStart= as systemd.syntax and systemd.service have them, for a host without systemd."""
    words = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', value)
    return [_unescaped(in_quotes or bare) for in_quotes, bare in words]


def _unescaped(word: str) -> str:
    text = re.sub(r"\\(n|t|x..|.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1]) or m[1], word)
    return text.replace("%%", "%").replace("$$", "$")
