"""`cdktr licenses`: what this program is made of."""

from argparse import Namespace
from dataclasses import asdict

from cdktr.cli import Exit
from cdktr.cli.arguments import nearest
from cdktr.cli.common import say, show, show_json
from cdktr.components import Component, components
from cdktr.errors import NotFoundError
from cdktr.text import table


def licenses(arguments: Namespace) -> int:
    """List the parts, or print the licence of one."""
    parts = components()
    if arguments.name is not None:
        part = _named(arguments.name, parts)
        if arguments.json:
            show_json(asdict(part))
        else:
            show("\n\n".join(part.texts).splitlines())
            if not part.texts:
                say(f"{part.name} is under {part.license}; its text is not at hand here")
        return Exit.DONE
    if arguments.json:
        show_json([{name: value for name, value in asdict(part).items() if name != "texts"} for part in parts])
        return Exit.DONE
    rows = [(_shown(part), part.version or "?", part.license, part.about) for part in parts]
    show(table(("COMPONENT", "VERSION", "LICENCE", "WHAT IT IS"), rows).split("\n"))
    say("The text of one: cdktr licenses NAME")
    return Exit.DONE


def _shown(part: Component) -> str:
    return f"  {part.name} (in {part.inside})" if part.inside else part.name


def _named(name: str, parts: tuple[Component, ...]) -> Component:
    """The part of a name, however that is written. Raises NotFoundError."""
    found = next((part for part in parts if part.name.lower() == name.lower()), None)
    if found is None:
        near = nearest(name, [part.name for part in parts])
        hint = f"did you mean {near}?" if near else "`cdktr licenses` lists what there is"
        raise NotFoundError(f"{name!r} is no part of this program; {hint}")
    return found
