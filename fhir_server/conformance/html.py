"""What came of scripts as one HTML page that needs nothing else."""

from collections.abc import Iterator, Sequence
from html import escape
from string import Template

from fhir_server.conformance.results import (
    ActionResult,
    Exchange,
    Kept,
    Result,
    ScriptResult,
    Totals,
)

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 16px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem;
  padding: 0 1rem; color: #222; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem } h3 { font-size: 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; vertical-align: top;
  border-bottom: 1px solid #ddd }
td.n, th.n { text-align: right }
.pass { color: #14632b } .warning { color: #7a5200 } .skip { color: #5c5c5c }
.fail, .error { color: #a3122a; font-weight: 600 }
pre { background: #f5f5f5; padding: .75rem; overflow: auto; max-height: 30rem;
  white-space: pre-wrap; overflow-wrap: anywhere }
summary { cursor: pointer } li { margin: .25rem 0 }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #1b1b1b } pre { background: #2a2a2a }
  th, td { border-color: #444 } .pass { color: #7ed99a } .warning { color: #e9b64d }
  .skip { color: #aaa } .fail, .error { color: #ff8a95 } a { color: #8ab4ff } }
</style>
</head>
<body>
<h1>$title</h1>
<p>$server</p>
<p>$totals</p>
<table>
<thead><tr><th>Script</th><th>Result</th><th class="n">Passed</th><th class="n">Failed</th>
<th class="n">Skipped</th><th class="n">Warnings</th><th class="n">Seconds</th></tr></thead>
<tbody>
$rows
</tbody>
</table>
$failures
</body>
</html>
""")


def page(results: Sequence[ScriptResult], totals: Totals, told: str) -> str:
    """Totals, a row a script, and each failed test with what was sent and received.

    told: the totals in words.
    """
    servers = sorted({script.base_url for script in results})
    when = min((script.started for script in results), default=None)
    server = f"Server: {escape(', '.join(servers))}"
    if when is not None:
        server += f", started {when:%Y-%m-%d %H:%M:%S} UTC"
    return _PAGE.substitute(
        title=f"TestScripts: {_title(totals)}",
        server=server,
        totals=escape(told),
        rows="\n".join(_row(number, script) for number, script in enumerate(results)),
        failures="\n".join(
            part for number, script in enumerate(results) for part in _failures(number, script)
        ),
    )


def _title(totals: Totals) -> str:
    if totals.ok:
        return "all passed"
    return "failures" if totals.failed or totals.errors or totals.broken else "interrupted"


def _row(number: int, script: ScriptResult) -> str:
    counts = Totals.of([script])
    result = "fail" if script.failed else "skip" if script.interrupted else "pass"
    word = "interrupted" if result == "skip" else result
    label = f"{escape(script.label)} ({script.format})"
    name = f'<a href="#s{number}">{label}</a>' if script.failed else label
    cells = (
        counts.passed, counts.failed + counts.errors, counts.skipped, counts.warnings,
        f"{script.seconds:.1f}",
    )  # fmt: skip
    numbers = "".join(f'<td class="n">{cell}</td>' for cell in cells)
    return f'<tr><td>{name}</td><td class="{result}">{word}</td>{numbers}</tr>'


def _failures(number: int, script: ScriptResult) -> Iterator[str]:
    if not script.failed:
        return
    yield f'<h2 id="s{number}">{escape(script.label)} ({script.format})</h2>'
    if script.problem:
        yield f'<p class="error">{escape(script.problem)}</p>'
    for part in script.parts:
        if part.failed:
            yield f'<h3 class="{part.result.value}">{escape(part.name)}</h3>'
            if part.description:
                yield f"<p>{escape(part.description)}</p>"
            yield "<ol>" + "".join(_action(action) for action in part.actions) + "</ol>"


def _action(action: ActionResult) -> str:
    told = ": ".join(each for each in (action.title, action.message) if each)
    result = action.result.value
    line = f'<span class="{result}">{result}</span> {escape(told)}'
    if action.exchange is None or action.result is Result.SKIP:
        return f"<li>{line}</li>"
    return f"<li><details><summary>{line}</summary>{_exchange(action.exchange)}</details></li>"


def _exchange(exchange: Exchange) -> str:
    sent = f"{exchange.method} {exchange.url}\n{_message(exchange.request)}"
    if exchange.response is None:
        return f"<pre>{escape(sent)}</pre><p>No answer.</p>"
    received = f"{exchange.status}  ({exchange.seconds:.3f} s)\n{_message(exchange.response)}"
    return f"<pre>{escape(sent)}</pre><pre>{escape(received)}</pre>"


def _message(kept: Kept) -> str:
    lines = [f"{name}: {value}" for name, value in kept.headers]
    more = "" if len(kept.body.encode()) >= kept.size else f"\n… of {kept.size:,} bytes"
    return "\n".join([*lines, "", kept.body]) + more
