"""The pages of the authorization server: they need no script, and load nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import urlsplit

from fhir_server.http.protection import page_policy

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 28rem; margin: 4rem auto; padding: 0 1rem;
  color: #1b2733; background: #fff }
h1 { font-size: 1.4rem }
label { display: block; margin: .6rem 0 }
input[type=text], input[type=password] { width: 100%; box-sizing: border-box; padding: .5rem;
  font: inherit; border: 1px solid #9aa7b3; border-radius: 4px }
button { font: inherit; padding: .5rem 1rem; margin: .8rem .5rem 0 0; border-radius: 4px;
  border: 1px solid #0b5cad; background: #fff; color: #0b5cad }
button.main { background: #0b5cad; color: #fff }
fieldset { border: 1px solid #dde3e9; border-radius: 4px; margin: 1rem 0 }
code { font-size: .85em; color: #54616d }
.wrong { color: #a11 }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Page:
    """A page, and what its browser has to heed."""

    body: str
    status: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Choice:
    """A patient to choose. label: as people know them."""

    id: str
    label: str


def _page(title: str, body: str, status: int = 200, then: str = "") -> Page:
    """then: where the browser may be sent after a form."""
    policy = page_policy(_STYLE)
    if then:
        policy = policy.replace("form-action 'self'", f"form-action 'self' {_origin(then)}")
    text = _PAGE.format(title=escape(title), style=_STYLE, body=body)
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY",
    }
    return Page(text, status, headers)


def _origin(url: str) -> str:
    """What a Content-Security-Policy calls the place of a URL; applications have schemes."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


def _hidden(**values: str) -> str:
    return "\n".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in values.items()
    )


def error_page(text: str, status: int = 400) -> Page:
    """What is wrong, for a person, where no program can be told."""
    return _page("This does not work", f'<p class="wrong">{escape(text)}</p>', status)


def login_page(
    program: str, request: str, proof: str, then: str, *, wrong: str = "", name: str = ""
) -> Page:
    """Where users log in.

    request: that goes on afterwards. proof: that the form is ours.
    """
    told = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
    body = f"""<p>to go on to <strong>{escape(program)}</strong></p>
{told}
<form method="post" action="/auth/login" autocomplete="on">
{_hidden(request=request, proof=proof)}
<label>Name <input type="text" name="name" value="{escape(name)}" autocomplete="username"
  autocapitalize="none" spellcheck="false" required autofocus></label>
<label>Password <input type="password" name="password" autocomplete="current-password"
  required></label>
<button class="main">Log in</button>
</form>"""
    return _page("Log in", body, 403 if wrong else 200, then)


def consent_page(
    program: str,
    user: str,
    scopes: Sequence[tuple[str, str, bool]],
    request: str,
    proof: str,
    then: str,
    picker: str = "",
) -> Page:
    """Where users say what a program may do.

    scopes: with what they mean, and whether they are chosen. picker: of a patient.
    """
    rows = "\n".join(
        f'<label><input type="checkbox" name="scope:{escape(scope)}" value="yes"'
        f"{' checked' if chosen else ''}> {escape(meaning)} <code>{escape(scope)}</code></label>"
        for scope, meaning, chosen in scopes
    )
    body = f"""<p><strong>{escape(program)}</strong> asks to act for you,
<strong>{escape(user)}</strong>:</p>
<form method="post" action="/auth/decide">
{_hidden(request=request, proof=proof)}
{picker}
<fieldset><legend>It may</legend>
{rows}
</fieldset>
<button class="main" name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button>
</form>"""
    return _page("Allow access?", body, then=then)


def patient_picker(
    found: Iterable[Choice] | None, text: str, chosen: str = "", wrong: str = ""
) -> str:
    """The part of a page where a patient is chosen. found: None before anybody looked."""
    rows = "".join(
        f'<label><input type="radio" name="patient" value="{escape(each.id)}"'
        f"{' checked' if each.id == chosen else ''}> {escape(each.label)}</label>\n"
        for each in found or ()
    )
    if found is not None and not rows:
        rows = "<p>Nobody of that name or number.</p>"
    told = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
    return f"""<fieldset><legend>Patient</legend>
{told}
<label>Name or number <input type="text" name="find" value="{escape(text)}"></label>
<button name="decision" value="find">Find</button>
{rows}</fieldset>"""


def logout_page(user: str, request: str, proof: str, then: str) -> Page:
    """Where users log out. request: of the program that sent them; it says what comes then."""
    body = f"""<p>You are logged in as <strong>{escape(user)}</strong>.</p>
<form method="post" action="/auth/logout">
{_hidden(request=request, proof=proof)}
<button class="main">Log out</button>
</form>"""
    return _page("Log out?", body, then=then)


def logged_out_page() -> Page:
    """After it."""
    return _page("You are logged out", "<p>What programs did for you while you were has ended.</p>")
