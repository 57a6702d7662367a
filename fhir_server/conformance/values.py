"""Variables and placeholders in texts: `${name}` (R4 testscript.html, variables)."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fhir_server.conformance import paths
from fhir_server.conformance.content import Content, NoResource
from fhir_server.conformance.model import Variable
from fhir_server.conformance.placeholders import Placeholders

_IN_TEXT = re.compile(r"\$\{([^${}]*)\}")

# Gives what has an id, or what was received last for None; None if there is no such thing yet.
Find = Callable[[str | None], Content | None]


class NoValue(Exception):
    """A placeholder that nothing can be put in place of; says why."""


class Values:
    """What stands for the placeholders of one run of a script; evaluated whenever it is asked.

    given: values from outside, which win over everything in the script.
    """

    def __init__(
        self, variables: Mapping[str, Variable], given: Mapping[str, str], find: Find
    ) -> None:
        self._variables = variables
        self._given = dict(given)
        self._find = find
        self._placeholders = Placeholders()
        self._evaluating: list[str] = []

    @contextmanager
    def with_value(self, name: str, value: str) -> Iterator[None]:
        """Inside the block the variable has this value."""
        before = self._given.get(name)
        self._given[name] = value
        try:
            yield
        finally:
            if before is None:
                del self._given[name]
            else:
                self._given[name] = before

    def fill(self, text: str) -> str:
        """The text with every placeholder replaced. Raises NoValue."""
        return _IN_TEXT.sub(lambda found: self.value(found[1]), text) if "${" in text else text

    def fill_known(self, value: Any) -> Any:
        """The same in all texts of a fixture, in which an unknown name is no placeholder."""
        if isinstance(value, str):
            return _IN_TEXT.sub(self._known, value) if "${" in value else value
        if isinstance(value, dict):
            return {key: self.fill_known(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill_known(item) for item in value]
        return value

    def _known(self, found: re.Match[str]) -> str:
        known = found[1] in self._given or found[1] in self._variables
        if known or self._placeholders.value(found[1]) is not None:
            return self.value(found[1])
        return found[0]

    def value(self, name: str) -> str:
        """What one placeholder stands for. Raises NoValue."""
        if name in self._evaluating:
            raise NoValue(f"the variable ${{{name}}} depends on itself")
        self._evaluating.append(name)
        try:
            return self._value(name)
        finally:
            self._evaluating.pop()

    def _value(self, name: str) -> str:
        if name in self._given:
            return self.fill(self._given[name])
        variable = self._variables.get(name)
        if variable is not None:
            return self._of_variable(variable)
        made = self._placeholders.value(name)
        if made is None:
            raise NoValue(f"there is no variable ${{{name}}}")
        return made

    def _of_variable(self, variable: Variable) -> str:
        found, why = self._found(variable)
        if found is not None:
            return found
        if variable.default is not None:
            return self.fill(variable.default)
        hint = f" {variable.hint}" if variable.hint else ""
        raise NoValue(
            f"the variable ${{{variable.name}}} has no value: {why};"
            f" --variable {variable.name}=VALUE gives one{hint}"
        )

    def _found(self, variable: Variable) -> tuple[str | None, str]:
        where = variable.header or variable.expression or variable.path
        if where is None:
            return None, "nothing says where it comes from"
        source = self._find(variable.source_id)
        if source is None:
            return None, f"there is no {variable.source_id or 'response'} yet"
        told = f"{where!r} in {source.what}"
        try:
            if variable.header is not None:
                return source.header(variable.header), f"{source.what} has no header {where}"
            evaluate = paths.by_expression if variable.expression else paths.by_path
            return paths.only_text(evaluate(where, source), told), f"{told} gives nothing"
        except NoResource as error:
            return None, str(error)
        except paths.CannotEvaluate as error:
            raise NoValue(f"the variable ${{{variable.name}}}: {error}") from None
