"""What a configuration file refers to and does not hold: paths and secrets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from labctl.config.decode import Fields
from labctl.config.positions import KeyPath
from labctl.model.inventory import SecretRef

_SECRET_KEY = re.compile(r"(token|password|passwd|secret)$", re.IGNORECASE)
_URL_WITH_PASSWORD = re.compile(r"\w+://[^/@\s:]*:[^@\s]+@")


def path_of(fields: Fields, key: str, folder: Path) -> Path | None:
    """A path, taken from the file's folder when it is relative; None when the key is missing."""
    text = fields.maybe_text(key)
    return folder / Path(text).expanduser() if text else None


def secret_ref(fields: Fields, key: str, folder: Path) -> SecretRef | None:
    """Where a secret is read from; written into the file itself it is refused."""
    if not fields.has(key):
        return None
    value = fields.data[key]
    if not isinstance(value, dict):
        fields.problems.secrets.append(str(value))
        fields.note(key, f"a {key} is not read from this file", _secret_hint(key))
        return None
    source = fields.section(key)
    secret = SecretRef(env=source.maybe_text("env") or "", file=path_of(source, "file", folder))
    source.done()
    if bool(secret.env) == bool(secret.file):
        fields.note(key, "must name one source: env or file", _secret_hint(key))
    return secret


def _secret_hint(key: str) -> str:
    return f"write `{key}: {{env: NAME}}` or `{key}: {{file: PATH}}`, or use keys and the SSH agent"


def refuse_plain_secrets(fields: Fields, path: KeyPath, value: Any) -> None:
    """A file that is meant for version control holds no secrets: tokens come from the environment or another file."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            refuse_plain_secrets(fields, (*path, index), item)
    elif isinstance(value, dict):
        for key, item in value.items():
            refuse_plain_secrets(fields, (*path, key), item)
    elif isinstance(value, str):
        name = str(path[-1])
        if _SECRET_KEY.search(name) or _URL_WITH_PASSWORD.search(value):
            fields.problems.secrets.append(value)
        if _SECRET_KEY.search(name) and value:
            fields.problems.add(path, f"a {name} is not read from this file", _secret_hint(name))
        elif _URL_WITH_PASSWORD.search(value):
            fields.problems.add(path, f"{name} holds a password", _secret_hint(name))
