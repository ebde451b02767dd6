"""What PCRE2 says about a regular expression that it cannot compile, as nginx reports it."""

from __future__ import annotations

import re

_MESSAGES = (
    ("missing ), unterminated subpattern", "missing closing parenthesis", True),
    ("unterminated character set", "missing terminating ] for character class", True),
    ("unbalanced parenthesis", "unmatched closing parenthesis", False),
    ("nothing to repeat", "quantifier does not follow a repeatable item", False),
    ("multiple repeat", "quantifier does not follow a repeatable item", False),
    ("bad escape (end of pattern)", "\\ at end of pattern", True),
    ("bad character range", "range out of order in character class", False),
    ("min repeat greater than max repeat", "numbers out of order in {} quantifier", False),
    ("invalid group reference", "reference to non-existent subpattern", True),
    ("unknown group name", "reference to non-existent subpattern", True),
    ("redefinition of group name", "two named subpatterns have the same name (PCRE2_DUPNAMES not set)", False),
    ("unknown extension", "unrecognized character after (? or (?-", False),
    ("look-behind requires fixed-width pattern", "lookbehind assertion is not fixed length", False),
)
_NOTHING = re.compile(r"(?!)")
_NAMED_GROUP = re.compile(r"\(\?<([A-Za-z_]\w*)>")
_ONLY_PCRE = re.compile(r"\\[hHRKQEGXpP]|\[\[:\^?\w+:\]\]|\(\?[|R0-9&]|\(\*")


def compile_pattern(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Compile a pattern of nginx's; named groups are written `(?<name>…)` there.

    Raises:
        re.error: It is none, or uses what only PCRE has.
    """
    return re.compile(_NAMED_GROUP.sub(r"(?P<\1>", pattern), flags)


def match_pattern(pattern: str, flags: int = re.IGNORECASE) -> re.Pattern[str]:
    """A pattern for matching; what only PCRE understands matches nothing here."""
    try:
        return compile_pattern(pattern, flags)
    except (re.error, OverflowError):
        return _NOTHING


def pattern_error(pattern: str) -> str:
    """Nginx's message about a pattern, empty when PCRE2 compiles it."""
    try:
        compile_pattern(pattern)
    except re.error as error:
        for words, message, at_end in _MESSAGES:
            if error.msg.startswith(words):
                return _message(message, pattern, len(pattern) if at_end else error.pos or 0)
        return "" if _ONLY_PCRE.search(pattern) else _message(error.msg, pattern, error.pos or 0)
    except OverflowError:
        return _message("number too big in {} quantifier", pattern, len(pattern))
    return ""


def _message(message: str, pattern: str, offset: int) -> str:
    text = f'pcre2_compile() failed: {message} in "{pattern}"'
    return text if offset >= len(pattern) else f'{text} at "{pattern[offset:]}"'
