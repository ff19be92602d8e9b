"""Checks documents against the JSON Schemas of the checkout.

One document a line, each with an "id" that its answer repeats; "schema" is a path below schemas/, with a JSON pointer
after '#' for a part of it:

    {"id": 1, "schema": "reply.schema.json", "document": {…}}
    {"id": 1, "problems": []}
    {"id": 2, "schema": "methods/spawn.schema.json#/properties/result", "document": {…}}
    {"id": 2, "problems": ["state: 'on' is not one of [...]"]}

In place of "document" there may be "text": JSON as Python reads it; "zlib": such text compressed, in base64; "ini": a
configuration file, whose values are taken for what the schema says they are. {"id": 3, "schemas": true} answers with the names of
all schemas after each was held against the meta-schema; what does not resolve or is no schema is in "problems".
"""

import base64
import configparser
import json
import pathlib
import sys
import zlib

import jsonschema
import referencing
from referencing.jsonschema import DRAFT202012

ROOT = pathlib.Path(__file__).resolve().parents[2] / "schemas"
BASE = "https://vmops.example/schemas/"


def load():
    """Every schema by its path below schemas/."""
    return {str(path.relative_to(ROOT)): json.loads(path.read_text()) for path in sorted(ROOT.rglob("*.schema.json"))}


def from_ini(text, schema):
    """A configuration file as the document that the schema describes; an option that it does not know is a problem."""
    parser = configparser.RawConfigParser(default_section=None, delimiters=("=",), strict=True)
    parser.read_string(text)
    document, unknown = {}, []
    for group in parser.sections():
        known = schema["properties"].get(group, {}).get("properties", {})
        if group.startswith("host:"):
            known = next(iter(schema["patternProperties"].values()))["properties"]
        document[group] = {}
        for name, value in parser.items(group):
            if name in known:
                document[group][name] = of_type(value, known[name].get("type"))
            else:
                unknown.append("%s/%s: is not in the schema" % (group, name))
    return document, unknown


def of_type(text, kind):
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind == "array":
        return [item.strip() for item in text.split(",") if item.strip()]
    if kind in ("integer", "number"):
        try:
            return int(text) if kind == "integer" else float(text)
        except ValueError:
            return text
    return text


def references(schema):
    """All that "$ref" names, anywhere in a schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


class Checker:
    def __init__(self):
        self.schemas = load()
        self.registry = referencing.Registry().with_resources(
            (BASE + name, DRAFT202012.create_resource(schema)) for name, schema in self.schemas.items()
        )
        self.validators = {}

    def problems(self, name, document):
        """What is wrong with a document, as lines that begin with the place in it."""
        if name not in self.validators:
            self.validators[name] = jsonschema.Draft202012Validator(
                {"$ref": BASE + name},
                registry=self.registry,
                format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
            )
        found = sorted(self.validators[name].iter_errors(document), key=lambda error: list(map(str, error.path)))
        return ["%s: %s" % ("/".join(map(str, error.path)) or "(all)", error.message[:500]) for error in found]

    def schema_problems(self):
        for name, schema in self.schemas.items():
            if schema.get("$schema") != "https://json-schema.org/draft/2020-12/schema":
                yield "%s: another dialect" % name
            if schema.get("$id") != BASE + name:
                yield "%s: its $id is %s" % (name, schema.get("$id"))
            try:
                jsonschema.Draft202012Validator.check_schema(schema)
            except jsonschema.SchemaError as error:
                yield "%s: %s" % (name, error.message)
            resolver = self.registry.resolver(BASE + name)
            for reference in references(schema):
                try:
                    resolver.lookup(reference)
                except referencing.exceptions.Unresolvable as error:
                    yield "%s: %s" % (name, error)


def main():
    checker = Checker()
    while line := sys.stdin.readline():
        command = json.loads(line)
        if command.get("schemas"):
            answer = {"schemas": list(checker.schemas), "problems": list(checker.schema_problems())}
        else:
            unknown = []
            if "ini" in command:
                document, unknown = from_ini(command["ini"], checker.schemas[command["schema"]])
            elif "zlib" in command:
                document = json.loads(zlib.decompress(base64.b64decode(command["zlib"])))
            else:
                document = json.loads(command["text"]) if "text" in command else command["document"]
            answer = {"problems": unknown + checker.problems(command["schema"], document)}
        print(json.dumps(dict(answer, id=command["id"])), flush=True)


main()
