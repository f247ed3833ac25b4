# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI documents against what ran: all that the other files saw is described, and all that
is described was seen.  Runs last, over every exchange that the harness recorded.
"""
import json
import os
import re

import yaml

from harness import ROOT, check, equal, exchanges

NO_SYSTEM = True
METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")

# Described, and not always seen here; each has a test of its own that makes that state.
ELSEWHERE = {
    "vault #/components/schemas/Code=store_unavailable": "tests/base/db_damage_test.c",
    "vault #/components/schemas/Code=audit_unavailable": "tests/base/db_damage_test.c",
    "vault #/components/schemas/KeyState=pre-active": "tests/keys/keyring_states_test.c",
    "vault #/components/schemas/Job/state=failed": "tests/vault/jobs_test.c",
    # Phases of milliseconds; that one goes on in each after a kill is 59_erasure's.
    **{f"vault #/components/schemas/Erasure/phase={phase}": "tests/vault/erasure_test.c"
       for phase in ("tokens", "records", "keys", "repeats", "purge", "backup", "search")},
    "relay #/components/schemas/Code=store_unavailable": "tests/relay/ledger_test.c",
    "relay #/components/schemas/Code=audit_unavailable": "tests/relay/ledger_test.c",
    "relay #/components/schemas/Code=busy": "tests/relay/submit_test.c",
    # 70_restart meets it only where the vault hears of the lease before its keeper is gone.
    "relay #/components/schemas/Code=sealed": "tests/relay/submit_test.c",
    "relay GET /v1/audit/checkpoint 404": "a log without a checkpoint lasts for milliseconds",
    "relay GET /v1/audit/checkpoint 503": "tests/relay/ledger_test.c",
    "relay GET /v1/audit/entries 503": "tests/relay/ledger_test.c",
}


class Document:
    def __init__(self, daemon):
        with open(os.path.join(ROOT, daemon, "openapi.yaml"), encoding="utf-8") as file:
            self.tree = yaml.safe_load(file)
        self.daemon = daemon
        self.seen = set()
        self.patterns = []
        self.firsts = {}
        for path in self.tree["paths"]:
            # The relay's {path} is the gateway's own, with slashes.
            pattern = re.sub(r"\\{path\\}", ".*", re.escape(path))
            pattern = re.sub(r"\\{\w+\\}", "[^/]+", pattern)
            self.patterns.append((path.count("{"), re.compile(pattern), path))
        self.patterns.sort(key=lambda one: one[0])

    def resolve(self, node, at):
        """Follows $ref; what is behind one is known by its name from there on."""
        while "$ref" in node:
            at = node["$ref"]
            found = self.tree
            for part in at[2:].split("/"):
                found = found[part]
            node = found
        return node, at

    def first(self, operation, at):
        """Methods that share one description (an alias of YAML's) share what was seen of it."""
        return self.firsts.setdefault(id(operation), at)

    def find(self, path):
        for _, pattern, template in self.patterns:
            if pattern.fullmatch(path):
                return template
        return None

    # ---- Values against schemas: a list of what is wrong ----

    def trouble(self, value, schema, at, seen):
        schema, at = self.resolve(schema, at)
        for name in ("oneOf", "anyOf"):
            if name in schema:
                return self.one_of(value, schema[name], f"{at}/{name}", seen)
        found = []
        for part in schema.get("allOf", []):
            found += self.trouble(value, part, f"{at}/allOf", seen)
        if "const" in schema and value != schema["const"]:
            found.append(f"{at}: {value!r} is not {schema['const']!r}")
        if "enum" in schema:
            if value not in schema["enum"]:
                found.append(f"{at}: {value!r} is not in the list")
            seen.add(f"{at}={value}")
        found += self.type_trouble(value, schema, at)
        if isinstance(value, dict):
            found += self.object_trouble(value, schema, at, seen)
        if isinstance(value, list):
            for one in value:
                found += self.trouble(one, schema.get("items", {}), f"{at}/items", seen)
        return found

    def one_of(self, value, choices, at, seen):
        reasons = []
        for index, choice in enumerate(choices):
            mine = set()
            found = self.trouble(value, choice, f"{at}/{index}", mine)
            if not found:
                seen |= mine
                return []
            reasons.append(found[0])
        return [f"{at}: none of the choices: {reasons}"]

    @staticmethod
    def type_trouble(value, schema, at):
        kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool,
                 "null": type(None), "number": (int, float)}
        types = schema.get("type", [])
        types = [types] if isinstance(types, str) else types
        if types and not any(isinstance(value, kinds[one]) and
                             (one == "boolean") == isinstance(value, bool) for one in types):
            return [f"{at}: {value!r} is none of {types}"]
        if isinstance(value, str):
            if "pattern" in schema and not re.search(schema["pattern"], value):
                return [f"{at}: {value!r} does not match {schema['pattern']}"]
            if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 1 << 30):
                return [f"{at}: {len(value)} characters"]
        if isinstance(value, int) and not (schema.get("minimum", value) <= value <=
                                           schema.get("maximum", value)):
            return [f"{at}: {value} is out of bounds"]
        if isinstance(value, list) and not (schema.get("minItems", 0) <= len(value) <=
                                            schema.get("maxItems", 1 << 30)):
            return [f"{at}: {len(value)} items"]
        return []

    def object_trouble(self, value, schema, at, seen):
        known = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        found = [f"{at}: {name} is missing" for name in schema.get("required", [])
                 if name not in value]
        for name, one in value.items():
            if name in known:
                seen.add(f"{at}/{name}")
                found += self.trouble(one, known[name], f"{at}/{name}", seen)
            elif others is False:
                found.append(f"{at}: {name} is not described")
            elif isinstance(others, dict):
                found += self.trouble(one, others, f"{at}/*", seen)
        return found

    # ---- What is described ----

    def parts(self, schema, at, done):
        """Every property and listed value within a schema."""
        schema, at = self.resolve(schema, at)
        if at in done:
            return
        done.add(at)
        yield from (f"{at}={one}" for one in schema.get("enum", []))
        for name in ("oneOf", "anyOf"):
            for index, one in enumerate(schema.get(name, [])):
                yield from self.parts(one, f"{at}/{name}/{index}", done)
        for one in schema.get("allOf", []):
            yield from self.parts(one, f"{at}/allOf", done)
        for name, one in schema.get("properties", {}).items():
            yield f"{at}/{name}"
            yield from self.parts(one, f"{at}/{name}", done)
        if "items" in schema:
            yield from self.parts(schema["items"], f"{at}/items", done)
        if isinstance(schema.get("additionalProperties"), dict):
            yield from self.parts(schema["additionalProperties"], f"{at}/*", done)

    def described(self):
        done = set()
        for path, item in self.tree["paths"].items():
            for method in METHODS:
                if method not in item:
                    continue
                at = f"{method.upper()} {path}"
                yield at
                operation = item[method]
                if self.first(operation, at) != at:
                    continue  # Described with the first that is like it.
                for content in self.bodies(operation.get("requestBody", {})):
                    yield from self.parts(content[1], f"{at} {content[0]}", done)
                for status, answer in operation["responses"].items():
                    answer, _ = self.resolve(answer, "")
                    if status != "default":
                        yield f"{at} {status}"
                    for kind, schema in self.bodies(answer):
                        yield from self.parts(schema, f"{at} {status} {kind}", done)

    def bodies(self, node):
        node, _ = self.resolve(node, "")
        return [(kind, media["schema"]) for kind, media in node.get("content", {}).items()
                if "schema" in media]


_documents = {}


def _document(daemon):
    if daemon not in _documents:
        _documents[daemon] = Document(daemon)
    return _documents[daemon]


def _described(document, exchange):
    """(operation, where) of an exchange; None where its path or method is not described."""
    _, _, method, path, _, _, answer = exchange
    path = path.split("?")[0]
    # On a listener that is bound to a destination the path is the gateway's from its start.
    template = document.find(path)
    if document.daemon == "relay" and answer.header("Cardkeep-Outcome") is not None:
        template = "/{destination}/{path}"
    if template is None:
        return None, None
    at = f"{method} {template}"
    operation = document.tree["paths"][template].get(method.lower())
    return operation, at


def _answer_trouble(document, operation, at, answer):
    responses = operation["responses"]
    status = str(answer.status)
    kind = (answer.header("Content-Type") or "").split(";")[0]
    if answer.header("Cardkeep-Outcome") == "answered" and kind != "application/problem+json":
        status = "default" if answer.status != 200 else status  # The gateway's own.
    named = responses.get(status, responses.get("default"))
    if named is None:
        return [f"{at}: {status} is not described ({answer!r})"]
    named, _ = document.resolve(named, "")
    document.seen.add(at)
    at = document.first(operation, at)
    if status in responses:
        document.seen.add(f"{at} {status}")
    content = named.get("content", {})
    if kind not in content:
        if answer.body and "*/*" not in content:
            return [f"{at} {status}: a body of {kind} is not described"]
        return []
    if "schema" not in content[kind] or not kind.endswith("json"):
        return []
    # A gateway's own JSON answer need not look like ours.
    if "*/*" in content and kind == "application/json" and b'"dry_run"' not in answer.body:
        return []
    return document.trouble(answer.json, content[kind]["schema"], f"{at} {status} {kind}",
                            document.seen)


def _request_trouble(document, operation, at, body, headers):
    """What was taken is described."""
    for kind, schema in document.bodies(operation.get("requestBody", {})):
        if headers.get("Content-Type") == kind and kind == "application/json":
            return document.trouble(json.loads(body), schema, f"{at} {kind}", document.seen)
    return []


def _compare(daemon):
    document = _document(daemon)
    found = []
    for exchange in exchanges:
        if exchange[0] != daemon:
            continue
        _, _, method, path, body, headers, answer = exchange
        operation, at = _described(document, exchange)
        if operation is None:
            if answer.status not in (404, 405):
                found.append(f"{method} {path.split('?')[0]} is not described: {answer.status}")
                continue
            at = "#/components/schemas/Problem"
            found += document.trouble(answer.json, {"$ref": at}, at, document.seen)
            continue
        found += _answer_trouble(document, operation, at, answer)
        refused = [one for one in (answer.json.get("results", []) if answer.status == 200 and
                                   b'"results"' in answer.body else []) if "code" in one]
        if answer.status < 300 and body is not None and not refused:
            found += _request_trouble(document, operation, at, body, headers)
    return sorted(set(found))


def _unseen(daemon):
    document = _document(daemon)
    return sorted(one for one in set(document.described()) - document.seen
                  if f"{daemon} {one}" not in ELSEWHERE)


def all_that_the_vault_did_is_described(system):
    check(sum(1 for one in exchanges if one[0] == "vault") > 100, "there is something to compare")
    equal(_compare("vault"), [], "not as described")


def all_that_the_relay_did_is_described(system):
    check(sum(1 for one in exchanges if one[0] == "relay") > 100, "there is something to compare")
    equal(_compare("relay"), [], "not as described")


def all_that_is_described_of_the_vault_was_seen(system):
    equal(_unseen("vault"), [], "described and not seen")


def all_that_is_described_of_the_relay_was_seen(system):
    equal(_unseen("relay"), [], "described and not seen")
