# SPDX-License-Identifier: Apache-2.0
"""JSON Schema, as much of it as those in this tree use; a word that it does not know fails."""
import json
import os
import re

from harness import ROOT

KINDS = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool,
         "null": type(None)}
KNOWN = {"$schema", "$id", "$defs", "$ref", "title", "description", "type", "enum", "const",
         "required", "properties", "additionalProperties", "items", "pattern", "minimum",
         "minItems", "format"}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def load(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return json.load(file)


def _is(value, kind):
    return isinstance(value, KINDS[kind]) and (kind == "boolean") == isinstance(value, bool)


def _object(value, schema, root, at):
    found = [f"{at}: {name} is missing" for name in schema.get("required", ())
             if name not in value]
    known = schema.get("properties", {})
    for name, one in value.items():
        if name in known:
            found += trouble(one, known[name], root, f"{at}/{name}")
        elif schema.get("additionalProperties", True) is False:
            found.append(f"{at}: {name} is not described")
    return found


def _plain(value, schema, at):
    if "const" in schema and value != schema["const"]:
        return [f"{at}: {value!r} is not {schema['const']!r}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{at}: {value!r} is not in the list"]
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return [f"{at}: {value!r} does not match {schema['pattern']}"]
    if isinstance(value, str) and schema.get("format") == "date-time" and \
            not re.fullmatch(TIME, value):
        return [f"{at}: {value!r} is no time"]
    if isinstance(value, int) and value < schema.get("minimum", value):
        return [f"{at}: {value} is too small"]
    if isinstance(value, list) and len(value) < schema.get("minItems", 0):
        return [f"{at}: {len(value)} items"]
    return []


def trouble(value, schema, root=None, at=""):
    """What is wrong with a value, one sentence each."""
    root = schema if root is None else root
    strange = set(schema) - KNOWN
    if strange:
        return [f"{at}: the schema says {strange}"]
    if "$ref" in schema:
        return trouble(value, root["$defs"][schema["$ref"].split("/")[-1]], root, at)
    kinds = schema.get("type", list(KINDS))
    if not any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return [f"{at}: {value!r} is no {kinds}"]
    found = _plain(value, schema, at)
    if isinstance(value, dict):
        found += _object(value, schema, root, at)
    if isinstance(value, list):
        for index, one in enumerate(value):
            found += trouble(one, schema.get("items", {}), root, f"{at}/{index}")
    return found
