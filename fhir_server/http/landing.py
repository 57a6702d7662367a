"""The page a person sees at `/`: what this is, what is in it, where to go."""

from html import escape

from fhir_server import __version__
from fhir_server.http.protection import page_policy

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem;
  color: #1b2733; background: #fff }
h1 { font-size: 1.6rem; margin-bottom: 0 }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; padding: .25rem .5rem; border-bottom: 1px solid #dde3e9 }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
pre { background: #f2f5f8; padding: .75rem; overflow-x: auto; border-radius: 4px }
a { color: #0b5cad }
p.warning { background: #fff3cd; border: 1px solid #d9a400; padding: .75rem; border-radius: 4px }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>FHIR server</title>
<style>{style}</style>
</head>
<body>
<h1>FHIR server</h1>
<p>HL7 FHIR R4 (4.0.1) on PostgreSQL, version {version}. The base URL is
<a href="{base}/metadata"><code>{base}</code></a>.</p>
{warning}<h2>Where to go</h2>
<ul>
<li><a href="{base}/metadata?_pretty=true">CapabilityStatement</a>: what the server can do</li>
<li><a href="/openapi.json">OpenAPI</a></li>
<li><a href="{base}/Patient?_pretty=true">Patients</a>,
<a href="{base}/_history?_pretty=true">the latest changes</a></li>
<li><a href="/health/live">Liveness</a>, <a href="/health/ready">readiness</a>,
<a href="/metrics">metrics</a></li>
</ul>
<h2>Try it</h2>
<pre>curl -H 'Content-Type: application/fhir+json' {base}/Patient \\
  -d '{{"resourceType": "Patient", "name": [{{"family": "Chalmers"}}]}}'
curl '{base}/Patient?name=chal'</pre>
<h2>What is in it</h2>
{contents}
</body>
</html>
"""

# Nothing is loaded and no script is run.
PAGE_HEADERS = {"Content-Security-Policy": page_policy(_STYLE)}

_EVERYBODY = """<p class="warning"><strong>Nobody has to say who they are:</strong> everybody who
reaches this server from this machine is its administrator. Before real patients come in, switch
<code>--authentication</code> on.</p>
"""
_NO_PATIENTS = """<p>No patients yet. <code>fhir-server load FILE</code> puts some in,
<code>fhir-server demo</code> a small hospital.</p>
"""


def page(base_url: str, counts: dict[str, int] | None, *, everybody: bool = False) -> str:
    """The page as HTML.

    counts: resources by type; None when the database does not answer.
    everybody: whether nobody has to say who they are.
    """
    return _PAGE.format(
        style=_STYLE,
        version=escape(__version__),
        base=escape(base_url),
        warning=_EVERYBODY if everybody else "",
        contents=_contents(base_url, counts),
    )


def _contents(base_url: str, counts: dict[str, int] | None) -> str:
    if counts is None:
        return "<p>The database does not answer at the moment.</p>"
    hint = "" if counts.get("Patient") else _NO_PATIENTS
    if not counts:
        return hint
    rows = "\n".join(
        f'<tr><td><a href="{escape(base_url)}/{type_}?_pretty=true">{type_}</a></td>'
        f'<td class="number">{count:,}</td></tr>'
        for type_, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
    total = sum(counts.values())
    return (
        f'{hint}<table><tr><th>Type</th><th class="number">Resources</th></tr>\n{rows}\n'
        f'<tr><th>All</th><th class="number">{total:,}</th></tr></table>'
    )
