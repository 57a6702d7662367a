"""What a suite scored, and the floors under which no score may fall."""

import json
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path

FLOORS = Path(__file__).with_name("floors.toml")


@dataclass(slots=True)
class Score:
    """How many cases of a suite passed, and what went wrong with the others."""

    suite: str
    cases: int
    passed: int
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


def floors(path: Path = FLOORS) -> dict[str, int]:
    """The least number of passed cases of each suite."""
    return {name: int(least) for name, least in tomllib.loads(path.read_text())["floors"].items()}


def below(scores: list[Score], least: dict[str, int]) -> list[str]:
    """What is wrong with the scores: a suite under its floor, without one, or not run."""
    found = {score.suite: score.passed for score in scores}
    complaints = [
        f"{suite}: {passed} passed, the floor is {least[suite]}"
        for suite, passed in found.items()
        if suite in least and passed < least[suite]
    ]
    complaints += [f"{suite}: has no floor" for suite in found if suite not in least]
    complaints += [f"{suite}: was not run" for suite in least if suite not in found]
    return complaints


def table(scores: list[Score], least: dict[str, int]) -> str:
    """The scores for a person to read."""
    width = max(len(score.suite) for score in scores)
    lines = [f"{'suite':{width}}  {'passed':>8}  {'cases':>8}  {'floor':>8}  {'seconds':>8}"]
    for score in scores:
        floor = least.get(score.suite, "none")
        lines.append(
            f"{score.suite:{width}}  {score.passed:>8}  {score.cases:>8}  {floor:>8}"
            f"  {score.seconds:>8.1f}"
        )
        lines += [f"    {failure}" for failure in score.failures[:10]]
        if len(score.failures) > 10:
            lines.append(f"    … and {len(score.failures) - 10} more")
    return "\n".join(lines)


def write(scores: list[Score], path: Path) -> None:
    """The scores as JSON, failures included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(score) for score in scores], indent=2) + "\n")
