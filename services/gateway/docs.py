"""The document as one page for people: no script, nothing from elsewhere, readable on a phone."""

import json
import re
from collections.abc import Iterable
from html import escape
from typing import Any

Schema = dict[str, Any]
JSON = "application/json"
REFERENCE = "#/components/schemas/"
ACCESS = {
    "public": "for everybody",
    "merchant": "for merchants",
    "operator": "for operators",
    "webhook": "for providers",
}
STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--accent:#0a6cbd}
@media(prefers-color-scheme:dark){:root{--accent:#6cb8ff}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;overflow-wrap:anywhere}
h1{font-size:1.6rem;margin:.5rem 0}h2{margin:2.2rem 0 .5rem;font-size:1.25rem}
h3{font-size:.85rem;margin:1rem 0 .25rem;text-transform:uppercase;letter-spacing:.04em;opacity:.75}
a{color:var(--accent);text-decoration:none}nav{display:flex;flex-wrap:wrap;gap:.3rem .9rem}
code{font:.9em ui-monospace,monospace;background:var(--soft);padding:.1em .25em;border-radius:4px}
pre{font:.8rem/1.45 ui-monospace,monospace;background:var(--soft);padding:.6rem .75rem;border-radius:6px;margin:.4rem 0;
overflow-x:auto;overflow-wrap:normal}
details{border:1px solid var(--line);border-radius:8px;margin:.4rem 0}
summary{cursor:pointer;padding:.55rem .75rem}
details>div{padding:0 .75rem .75rem;border-top:1px solid var(--line)}
details details,details details>div{border:0;margin:0}details details>summary{padding:.2rem 0}
summary b{display:inline-block;min-width:4rem;font:600 .8rem ui-monospace,monospace;color:var(--accent)}
summary code{background:none}summary span{display:block;font-size:.9rem;opacity:.8}
dl{margin:0}dt{margin-top:.4rem}dd{margin:0 0 0 1rem;font-size:.95rem}
small{opacity:.75}p{margin:.5rem 0}ul{margin:.3rem 0;padding-left:1.2rem}
"""


def page(document: Schema) -> str:
    info, schemas = document["info"], document["components"]["schemas"]
    tags = document["tags"]
    responses = document["components"]["responses"]
    operations = [
        (verb, path, operation | {"responses": {status: _resolved(found, responses) for status, found in answers}})
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
        for answers in [operation["responses"].items()]
    ]
    sections = [_section(tag, [found for found in operations if tag["name"] in found[2]["tags"]]) for tag in tags]
    links = [_link(f"tag-{tag['name']}", tag["name"]) for tag in tags]
    links += [_link("access", "Access"), _link("schemas", "Schemas")]
    return "".join([
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(info['title'])}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])}</h1>{_words(info['description'])}",
        '<p>As a document for machines: <a href="/openapi.json">/openapi.json</a></p>',
        f"<nav>{''.join(links)}</nav>",
        *sections,
        '<h2 id="access">Access</h2>',
        *(_scheme(name, scheme) for name, scheme in document["components"]["securitySchemes"].items()),
        '<h2 id="schemas">Schemas</h2>',
        *(_component(name, schema) for name, schema in schemas.items()),
        "</body></html>",
    ])  # fmt: skip


def _section(tag: Schema, operations: list[tuple[str, str, Schema]]) -> str:
    body = "".join(_operation(*operation) for operation in operations)
    return f'<h2 id="tag-{escape(tag["name"])}">{escape(tag["name"])}</h2>{_words(tag.get("description", ""))}{body}'


def _operation(verb: str, path: str, operation: Schema) -> str:
    parts = [_words(operation["description"]), f"<p><small>{escape(' · '.join(_bounds(operation)))}</small></p>"]
    if operation["parameters"]:
        parts += ["<h3>Parameters</h3>", _parameters(operation["parameters"])]
    if "requestBody" in operation:
        parts += ["<h3>Body</h3>", _content(operation["requestBody"]["content"])]
    (success, answer), *refusals = operation["responses"].items()
    parts += [f"<h3>Answer {escape(success)}</h3>"]
    parts += [
        _words(answer["description"]) if answer["description"] != "Done." else "",
        _content(answer["content"]) if "content" in answer else "",
    ]
    parts += ["<h3>Refusals</h3>", *(_refusal(status, found) for status, found in refusals)]
    head = f"<b>{verb.upper()}</b><code>{escape(path)}</code><span>{_inline(operation['summary'])}</span>"
    name = escape(operation["operationId"])
    return f'<details id="{name}"><summary>{head}</summary><div>{"".join(parts)}</div></details>'


def _resolved(response: Schema, responses: Schema) -> Schema:
    found: Schema = responses[response["$ref"].rpartition("/")[2]] if "$ref" in response else response
    return found


def _refusal(status: str, response: Schema) -> str:
    """The reasons of a status, folded away but for their names."""
    reasons = " ".join(f"<code>{escape(reason)}</code>" for reason in response["content"][JSON].get("examples", ()))
    words = _words(response["description"])
    return f"<details><summary><small>{status}</small> {reasons}</summary><div>{words}</div></details>"


def _scheme(name: str, scheme: Schema) -> str:
    header = scheme.get("name") or f"Authorization: Bearer <{scheme['bearerFormat']}>"
    return f'<p id="access-{escape(name)}"><code>{escape(header)}</code></p>{_words(scheme["description"])}'


def _bounds(operation: Schema) -> Iterable[str]:
    yield operation["operationId"]
    yield ACCESS[operation["x-access"]]
    if schemes := [name for each in operation["security"] for name in each]:
        yield f"with {' or '.join(schemes)}"
    yield f"within {operation['x-timeout-seconds']:g} s"
    for limit in operation["x-rate-limit"]:
        yield f"{limit['count']:,} in {limit['perSeconds']} s by {limit['by']}"
    if bytes_max := operation.get("x-body-bytes-max"):
        yield f"body up to {bytes_max / 1024 / 1024:g} MiB"


def _parameters(parameters: list[Schema]) -> str:
    return "<dl>" + "".join(
        f"<dt><code>{escape(found['name'])}</code> <small>{found['in']}{', required' if found.get('required') else ''}"
        f"</small> {_type(found['schema'])}</dt><dd>{_words(found.get('description', ''))}</dd>"
        for found in parameters
    ) + "</dl>"  # fmt: skip


def _content(content: Schema) -> str:
    kind, found = next(iter(content.items()))
    schema = found.get("x-event-schema") or found["schema"]
    inside = _properties(schema) if "properties" in schema else f"<p>{_type(schema)}</p>"
    return f"<p><small>{escape(kind)}</small></p>{inside}{_example(found['example']) if 'example' in found else ''}"


def _example(value: Any) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return f"<pre>{escape(shown)}</pre>"


def _component(name: str, schema: Schema) -> str:
    body = _words(schema.get("description", "")) + (_properties(schema) if "properties" in schema else "")
    if "enum" in schema:
        body += f"<p>{' '.join(f'<code>{escape(value)}</code>' for value in schema['enum'])}</p>"
    return f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary><div>{body}</div></details>'


def _properties(schema: Schema) -> str:
    required = schema.get("required", [])
    return "<dl>" + "".join(
        f"<dt><code>{escape(name)}</code> {_type(found)} <small>{_marks(name in required, found)}</small></dt>"
        f"<dd>{_words(found.get('description', ''))}</dd>"
        for name, found in schema["properties"].items()
    ) + "</dl>"  # fmt: skip


def _marks(is_required: bool, schema: Schema) -> str:
    return ", ".join(["required"] * is_required + ["only in answers"] * bool(schema.get("readOnly")))


def _type(schema: Schema) -> str:
    if reference := schema.get("$ref"):
        name = reference.removeprefix(REFERENCE)
        return _link(name, name)
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "additionalProperties" in schema:
        return f"map of {_type(schema['additionalProperties'])}"
    return escape(f"{schema.get('type', 'anything')} {schema.get('format', '')}".strip())


def _link(target: str, text: str) -> str:
    return f'<a href="#{escape(target)}">{escape(text)}</a>'


def _words(text: str) -> str:
    """Paragraphs and lists of a comment."""
    found = []
    for block in filter(None, text.split("\n\n")):
        lines = block.split("\n")
        items = [line[2:] for line in lines if line.startswith("- ")]
        prose = " ".join(line for line in lines if not line.startswith("- "))
        found.append(f"<p>{_inline(prose)}</p>" if prose else "")
        found.append(f"<ul>{''.join(f'<li>{_inline(item)}</li>' for item in items)}</ul>" if items else "")
    return "".join(found)


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
