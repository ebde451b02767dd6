"""YAML as the API server reads and writes it (sigs.k8s.io/yaml)."""

from __future__ import annotations

import json
from typing import Any

import yaml

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: type[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _JsonLoader(_Loader):  # type: ignore[misc]  # the base is chosen at run time
    """YAML 1.1 scalars, except dates: those stay text, as JSON has none."""


_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


class _GoDumper(_Dumper):  # type: ignore[misc]  # the base is chosen at run time
    """Quotes with double quotes where it must, and never uses anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: Any, value: str) -> Any:
    tag = "tag:yaml.org,2002:str"
    if "\n" in value:
        return dumper.represent_scalar(tag, value, style="|")
    plain = dumper.resolve(yaml.ScalarNode, value, (True, False)) == tag and value != ""
    return dumper.represent_scalar(tag, value, style=None if plain else '"')


_GoDumper.add_representer(str, _text)


def load_yaml(data: bytes) -> Any:
    """One YAML document (or JSON) as a JSON value.

    Raises:
        ValueError: It is not YAML, or holds something JSON cannot.
    """
    try:
        # Trusted to be data only: the loader derives from SafeLoader.
        value = yaml.load(data, Loader=_JsonLoader)  # noqa: S506
        json.dumps(value, allow_nan=False)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"error converting YAML to JSON: yaml: {error}") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"error converting YAML to JSON: {error}") from None
    return value


def dump_yaml(value: Any) -> bytes:
    """A JSON value as YAML with sorted keys."""
    text: str = yaml.dump(value, Dumper=_GoDumper, default_flow_style=False, allow_unicode=True, width=2**31 - 1)
    return text.encode("utf-8", "surrogatepass")
