"""Whether a JSON value fits a schema of the kinds that answers are held to."""

from collections.abc import Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_MAX_SHOWN = 60


def find_misfit(value: Any, schema: Mapping[str, Any]) -> str:
    """Return the first thing that does not fit, in words that a model can act on; empty when all fits.

    Understands type, enum, const, properties, required, items, minItems, maxItems, minLength, anyOf, oneOf, allOf and
    $ref to $defs; further fields of an object and every other keyword are let through.
    """
    return _misfit(value, schema, "the answer", schema.get("$defs", {}))


def resolve_schema(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a $ref to the schema it names."""
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    return schema


def _misfit(value: Any, schema: Mapping[str, Any], where: str, definitions: Mapping[str, Any]) -> str:
    schema = resolve_schema(schema, definitions)
    for choices in (schema[key] for key in ("anyOf", "oneOf") if key in schema):
        problems = [_misfit(value, choice, where, definitions) for choice in choices]
        if all(problems):
            return problems[0]
    for part in schema.get("allOf", ()):
        if problem := _misfit(value, part, where, definitions):
            return problem
    allowed = [schema["const"]] if "const" in schema else schema.get("enum")
    if allowed is not None and value not in allowed:
        return f"{where} is {_show(value)}, not one of {_show(allowed)}"
    if not _has_type(value, schema.get("type")):
        return f"{where} is {_show(value)}, not of type {schema['type']}"
    if isinstance(value, dict):
        return _misfit_of_object(value, schema, where, definitions)
    if isinstance(value, list):
        return _misfit_of_array(value, schema, where, definitions)
    if isinstance(value, str) and len(value) < schema.get("minLength", 0):
        return f"{where} has fewer than {schema['minLength']} characters"
    return ""


def _misfit_of_object(
    value: dict[str, Any], schema: Mapping[str, Any], where: str, definitions: Mapping[str, Any]
) -> str:
    for name in schema.get("required", ()):
        if name not in value:
            return f"{where} lacks the field {name!r}"
    for name, part in schema.get("properties", {}).items():
        if name in value and (problem := _misfit(value[name], part, f"{where}.{name}", definitions)):
            return problem
    return ""


def _misfit_of_array(value: list[Any], schema: Mapping[str, Any], where: str, definitions: Mapping[str, Any]) -> str:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        bounds = f"{schema.get('minItems', 0)} to {schema.get('maxItems', 'any number')}"
        return f"{where} has {len(value)} items instead of {bounds}"
    for index, item in enumerate(value):
        if problem := _misfit(item, schema.get("items", {}), f"{where}[{index}]", definitions):
            return problem
    return ""


def _has_type(value: Any, names: str | list[str] | None) -> bool:
    if names is None:
        return True
    accepted = tuple(kind for name in ([names] if isinstance(names, str) else names) for kind in _TYPES[name])
    return isinstance(value, accepted) and (not isinstance(value, bool) or bool in accepted)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
