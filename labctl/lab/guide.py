"""A lab's guide in the reader's language."""

from __future__ import annotations

from pathlib import Path

from labctl.errors import UsageError

LANGUAGES = ("en", "ko")
_FILES = {"en": "guide.md", "ko": "guide.ko.md"}


def guide_path(directory: Path, language: str) -> Path:
    """The guide in a language, else in English.

    Args:
        directory: The lab's folder.
        language: `ko`, `ko_KR.UTF-8`, `en`, `C`, …: a language or a locale; an unknown one means English.

    Raises:
        UsageError: The lab has no guide.
    """
    short = language.replace("-", "_").partition("_")[0].partition(".")[0].lower()
    for code in (short, *LANGUAGES):
        path = directory / _FILES.get(code, "")
        if path.is_file():
            return path
    raise UsageError(f"the lab {directory.name!r} has no guide", hint=f"write {directory / _FILES['en']}")


def guide_text(directory: Path, language: str) -> str:
    """The text of the guide in a language, else in English (Markdown).

    Raises:
        UsageError: The lab has no guide.
    """
    return guide_path(directory, language).read_text(encoding="utf-8")
