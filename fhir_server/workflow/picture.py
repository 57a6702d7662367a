"""The state tables as pictures and a table for people: `python -m fhir_server.workflow.picture`.

`docs/orders.md` has what it prints.
"""

import sys
from collections.abc import Collection, Iterator, Sequence

from fhir_server.workflow.states import Step, Table, Workflow, workflow

_GROUP = "open"


def state_diagram(table: Table) -> str:
    """The states of a type of order as a Mermaid diagram.

    The states in which an order can be put on hold are drawn as one group, since what may be done
    in all of them need not be drawn from each. Steps that leave the state as it is are left out.
    """
    group = _group(table)
    arrows = [arrow for step in table.steps for arrow in _arrows(step, group)]
    starts = [
        f"[*] --> {_id(table.initial)}",
        f"[*] --> {_id(table.unverified)}: where orders are verified first",
    ]
    inside = [*_names(table, group), *(text for text, within in arrows if within)]
    outside = [
        *_names(table, set(_states(table)) - group),
        *starts,
        *(text for text, within in arrows if not within),
    ]
    lines = [f"    state {_GROUP} {{", *(f"        {each}" for each in inside), "    }"]
    return "\n".join(["stateDiagram-v2", *lines, *(f"    {each}" for each in outside)])


def _names(table: Table, states: Collection[str]) -> list[str]:
    """The declarations of states whose names Mermaid would not take as they are."""
    wanted = (name for name in _states(table) if name in states and _id(name) != name)
    return [f'state "{name}" as {_id(name)}' for name in wanted]


def _arrows(step: Step, group: frozenset[str]) -> Iterator[tuple[str, bool]]:
    """The arrows of a step, and whether each is inside of the group."""
    if step.returns:
        for origin in step.origins:
            yield _arrow(origin, _GROUP, step), False
    if not step.to:
        return
    origins = list(step.origins)
    if group <= set(origins):
        yield _arrow(_GROUP, step.to, step), False
        origins = [each for each in origins if each not in group]
    for origin in origins:
        yield _arrow(origin, step.to, step), {origin, step.to} <= group


def _arrow(origin: str, target: str, step: Step) -> str:
    return f"{_id(origin)} --> {_id(target)}: ${step.name}"


def _group(table: Table) -> frozenset[str]:
    """The states that a step with a way back may leave."""
    left = {step.returns for step in table.steps if step.returns}
    return frozenset(origin for step in table.steps if step.name in left for origin in step.origins)


def _states(table: Table) -> list[str]:
    named = (name for step in table.steps for name in (*step.origins, step.to) if name)
    return list(dict.fromkeys(named))


def _id(state: str) -> str:
    return state.replace("-", "_")


def permissions(known: Workflow) -> str:
    """Who may do what, and what a step needs, as a Markdown table."""
    tables = list(known.tables.values())
    places: dict[str, int] = {}
    for table in tables:
        for place, step in enumerate(table.steps):
            places.setdefault(step.name, place)
    rows = [
        f"| `{name}` | {_roles(name, tables)} | {_needs(name, tables)} |"
        for name in sorted(places, key=lambda name: places[name])
    ]
    return "\n".join(["| step | who | needs |", "|---|---|---|", *rows])


def _roles(name: str, tables: Sequence[Table]) -> str:
    """The roles of a step: those of all types of order that have it, then further ones."""
    found = {table.type: step.roles for table in tables if (step := table.step(name))}
    every = list(dict.fromkeys(role for roles in found.values() for role in roles))
    common = [role for role in every if all(role in roles for roles in found.values())]
    texts = [", ".join(common)]
    for type_, roles in found.items():
        further = [role for role in roles if role not in common]
        texts += [f"{type_}: {', '.join(further)} too"] if further else []
    return "; ".join(texts)


def _needs(name: str, tables: Sequence[Table]) -> str:
    steps = {table.type: step for table in tables if (step := table.step(name))}
    lengths: dict[str, int] = {}
    for step in steps.values():
        lengths |= step.inputs
    texts = []
    for key, least in lengths.items():
        having = [type_ for type_, step in steps.items() if key in step.inputs]
        text = f"`{key}`" + (f" of {least} characters" if least > 1 else "")
        texts.append(text if len(having) == len(steps) else f"{text} ({', '.join(having)})")
    return ", ".join(texts)


def told() -> str:
    """Everything that the documentation shows of the tables."""
    pictures: dict[str, list[str]] = {}
    for table in workflow().tables.values():
        pictures.setdefault(state_diagram(table), []).append(table.type)
    parts = [
        f"**{' and '.join(types).capitalize()}**\n\n```mermaid\n{picture}\n```"
        for picture, types in pictures.items()
    ]
    return "\n\n".join([*parts, permissions(workflow())]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(told())
