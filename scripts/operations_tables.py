"""Writes the tables of docs/operations.md again: settings and metrics as the code has them."""

import dataclasses
import json
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from gateway.metrics import GatewayMetrics
from gateway.settings import GatewaySettings
from orchestrator.metrics import OrchestratorMetrics
from orchestrator.settings import OrchestratorSettings
from serving.settings import ServingSettings
from stemcore.telemetry.state_gauges import StateGauges

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "operations.md"

SERVICES: Mapping[str, type[BaseSettings]] = {
    "gateway": GatewaySettings,
    "orchestrator": OrchestratorSettings,
    "serving": ServingSettings,
}
CHOSEN_AT_START = "chosen at start"
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One environment variable, without its service's prefix."""

    variable: str
    kind: str
    default: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Settings that stand together, and what their class says of them."""

    name: str
    text: str
    settings: tuple[Setting, ...]


def rendered(document: str) -> str:
    """The document with its tables as they should be."""
    for name, table in {"settings": settings_text(), "metrics": metrics_text()}.items():
        begin, end = f"<!-- {name}: generated -->\n", f"<!-- end of {name} -->"
        document = re.sub(
            f"{re.escape(begin)}.*?{re.escape(end)}",
            lambda _, new=f"{begin}\n{table}\n{end}": new,
            document,
            flags=re.DOTALL,
        )
    return document


def settings_text() -> str:
    """A table for each group; one that services share stands once."""
    owners: dict[Group, list[str]] = {}
    for service, settings in SERVICES.items():
        for group in groups(settings):
            owners.setdefault(group, []).append(service)
    return "\n".join(_group_text(group, services) for group, services in owners.items())


def _group_text(group: Group, services: list[str]) -> str:
    rows = [(f"`{s.variable}`", s.kind, s.default) for s in group.settings]
    title = f"### {group.name} ({', '.join(services)})"
    table = _table(("variable", "value", "default"), rows)
    return "\n\n".join(part for part in (title, group.text, table) if part)


def groups(
    model: type, *, path: tuple[str, ...] = (), given: Any = None, optional: bool = False
) -> Iterator[Group]:
    """The model's own settings, then those of the models in it; `given` holds their defaults."""
    own: list[Setting] = []
    nested: list[Group] = []
    for name, annotation, declared, bounds in _fields(model):
        is_open = given is None or declared == CHOSEN_AT_START
        default = declared if is_open else getattr(given, name)
        inner = _model_in(annotation)
        if inner is not None:
            held = default if isinstance(default, inner) else None
            left_out = optional or default is None
            nested += groups(inner, path=(*path, name), given=held, optional=left_out)
            continue
        variable = "__".join((*path, name)).upper()
        own.append(
            Setting(
                variable=variable,
                kind=_kind(annotation, bounds),
                default=_default(default, is_secret=_is_secret(annotation)),
            )
        )
    if own:
        text = " ".join((model.__doc__ or "").split())
        if optional:
            text = f"{text} None of this need be given; what is required is so beside the others."
        name = "__".join(path).upper() or "General"
        yield Group(name=name, text=text, settings=tuple(own))
    yield from nested


def _fields(model: type) -> Iterator[tuple[str, Any, Any, Iterable[Any]]]:
    if issubclass(model, BaseModel):
        for name, field in model.model_fields.items():
            yield name, field.annotation, _declared(field), field.metadata
    else:
        for field in dataclasses.fields(model):
            yield field.name, field.type, field.default, ()


def _declared(field: FieldInfo) -> Any:
    made = field.get_default(call_default_factory=True, validated_data={})
    is_this_machines = field.default_factory is not None and isinstance(made, Path)
    return CHOSEN_AT_START if is_this_machines else made


def _model_in(annotation: Any) -> Any:
    for option in _options(annotation):
        if isinstance(option, type) and (
            issubclass(option, BaseModel) or dataclasses.is_dataclass(option)
        ):
            return option
    return None


def _options(annotation: Any) -> tuple[Any, ...]:
    is_union = get_origin(annotation) in (Union, types.UnionType)
    return get_args(annotation) if is_union else (annotation,)


def _is_secret(annotation: Any) -> bool:
    return SecretStr in _options(annotation)


def _kind(annotation: Any, bounds: Iterable[Any]) -> str:
    kinds = [_name(option) for option in _options(annotation) if option is not types.NoneType]
    limits = [
        f"{word} {getattr(bound, key)}"
        for bound in _flat(bounds)
        for key, word in _BOUNDS.items()
        if hasattr(bound, key)
    ]
    return ", ".join([" or ".join(kinds), *limits])


def _flat(bounds: Iterable[Any]) -> Iterator[Any]:
    for bound in bounds:
        yield from getattr(bound, "metadata", [bound])


def _name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if hasattr(annotation, "__metadata__"):
        return _kind(arguments[0], annotation.__metadata__)
    if origin is not None:
        return "JSON"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    names = {"str": "text", "int": "number", "float": "number", "bool": "`true` or `false`"}
    names |= {"SecretStr": "secret", "Path": "path"}
    return names.get(annotation.__name__, annotation.__name__.lower())


def _default(value: Any, *, is_secret: bool) -> str:
    if value is PydanticUndefined or value is dataclasses.MISSING:
        return "**required**"
    if value is None or value == CHOSEN_AT_START:
        return value or "none"
    return "secret" if is_secret else _shown(value)


def _shown(value: Any) -> str:
    match value:
        case Enum():
            text = value.value
        case Path():
            text = value.relative_to(ROOT) if value.is_relative_to(ROOT) else value
        case bool():
            text = str(value).lower()
        case frozenset() | tuple() | dict():
            text = _json(value)
        case _:
            text = value
    return f"`{text}`"


def _json(value: frozenset[Any] | tuple[Any, ...] | Mapping[str, Any]) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return json.dumps(sorted(str(getattr(member, "value", member)) for member in value))


def metrics_text() -> str:
    """Every metric of our own, by service."""
    rows = [
        (f"`{family}`", f"{service}: {kind}", ", ".join(f"`{label}`" for label in labels), text)
        for service, family, kind, labels, text in metrics()
    ]
    return _table(("metric", "of", "labels", "what"), rows)


def metrics() -> Iterator[tuple[str, str, str, tuple[str, ...], str]]:
    """Service, name as it is scraped, type, labels and meaning."""
    registry = CollectorRegistry()
    shown = {
        "gateway": GatewayMetrics.on(CollectorRegistry()),
        "orchestrator": OrchestratorMetrics.on(registry),
    }
    for service, held in shown.items():
        for field in dataclasses.fields(held):
            metric: MetricWrapperBase = getattr(held, field.name)
            (family,) = metric.describe()
            labels = tuple(metric._labelnames)
            yield service, _scraped(family), family.type, labels, family.documentation
    for family in StateGauges.describe_all():
        labels = tuple(family._labelnames)
        yield "both", family.name, family.type, labels, family.documentation


def _scraped(family: Any) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    DOCUMENT.write_text(rendered(DOCUMENT.read_text()))
