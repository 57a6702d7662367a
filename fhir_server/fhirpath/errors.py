"""What can be wrong with an expression, or come out when it meets a resource."""


class FhirPathError(ValueError):
    """An expression that cannot be used: where, what was found, what was expected.

    source: the expression.
    position: the offset in `source` that the message speaks about.
    problem: what is wrong there.
    """

    def __init__(self, source: str, position: int, problem: str) -> None:
        self.source = source
        self.position = position
        self.problem = problem
        self.line = source.count("\n", 0, position) + 1
        self.column = position - source.rfind("\n", 0, position)
        super().__init__(f"{problem} (line {self.line}, column {self.column} of {_quoted(source)})")


class FhirPathSyntaxError(FhirPathError):
    """Text that the FHIRPath grammar does not allow."""


class UnsupportedExpression(FhirPathError):
    """A well-formed expression that uses what this compiler refuses, or names no such element."""


class FhirPathTypeError(UnsupportedExpression):
    """An expression that can never make sense for the type it was compiled for."""


class FhirPathEvaluationError(FhirPathError):
    """Values that an operator or function cannot take, met while evaluating."""


class FhirPathLimitError(FhirPathEvaluationError):
    """An evaluation that took too long, or produced too much."""


def _quoted(source: str) -> str:
    return repr(source if len(source) <= 120 else source[:117] + "...")
