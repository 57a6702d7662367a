"""How a search is carried out: its steps, their plans and what each costs."""

from dataclasses import dataclass

from fhir_server.search.settle import Settling, Step


@dataclass(frozen=True, slots=True)
class Explained:
    """A step with PostgreSQL's plan for it, as it ran."""

    step: Step
    plan: str
    milliseconds: float
    shown: str


async def explained(at: Settling) -> list[Explained]:
    """Run each step of a search again, with its plan."""
    steps = [step for step in at.steps or () if step.what != "estimate"]
    return [await _explained(at, step) for step in steps]


async def _explained(at: Settling, step: Step) -> Explained:
    text = f"explain (analyze, buffers, summary on) {step.text}"
    cursor = await at.connection.execute(text, step.values, prepare=False)
    lines = [str(line) for (line,) in await cursor.fetchall()]
    times = [
        line.split(":")[1].split()[0] for line in lines if line.endswith(" ms") and "Time:" in line
    ]
    shown = step.text
    for value in step.values:
        shown = shown.replace("%s", _literal(value), 1)
    return Explained(step, "\n".join(lines), sum(map(float, times)), shown)


def _literal(value: object) -> str:
    if isinstance(value, list):
        return f"'{{{','.join(map(str, value))}}}'"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
