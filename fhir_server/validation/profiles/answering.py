"""Answers the questions of a validation from value sets, each value set asked for once."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping

from fhir_server.outcome import Refusal
from fhir_server.terminology.value_set import ValueSetRules
from fhir_server.validation.profiles.findings import Question

# Gives a value set by its canonical. Raises a Refusal for one that is not known or understood.
FindValueSet = Callable[[str], Awaitable[ValueSetRules]]


async def answered(
    questions: Iterable[Question], find: FindValueSet
) -> dict[Question, bool | None]:
    """An answer to each question; None where the value set is not known, or not all of it."""
    by_value_set: defaultdict[str, list[Question]] = defaultdict(list)
    for question in questions:
        by_value_set[question.value_set].append(question)
    answers: dict[Question, bool | None] = {}
    for canonical, asked in by_value_set.items():
        try:
            rules = await find(canonical)
        except Refusal:
            answers |= dict.fromkeys(asked, None)
            continue
        answers |= {question: _answer(rules, question) for question in asked}
    return answers


class Ready(dict[Question, bool | None]):
    """Answers from value sets that are at hand, each made when it is asked for."""

    def __init__(self, value_sets: Mapping[str, ValueSetRules]) -> None:
        super().__init__()
        self._value_sets = value_sets

    def __missing__(self, question: Question) -> bool | None:
        rules = self._value_sets.get(question.value_set)
        if rules is None:
            raise KeyError(question)
        answer = self[question] = _answer(rules, question)
        return answer


def _answer(rules: ValueSetRules, question: Question) -> bool | None:
    unknown = False
    try:
        systems = (question.system,) if question.system else rules.systems()
    except Refusal:
        return None
    for system in systems:
        try:
            if rules.find(system, question.code) is not None:
                return True
        except Refusal:
            unknown = True
    return None if unknown else False
