"""What an account or card number looks like in words of others, however they write it. Knows no provider, reads no meaning.

For words that are quoted, and for log lines. To cover a date or an amount too much is harmless; a number too little is not.
"""

import re

# Letters break a number and nothing else does: spaces, hyphens, slashes, commas of any script, and three of them in a row.
_BETWEEN = r"[\W_]{0,3}"


def _iban(letters: str) -> str:
    # In groups of four, in one case: the words of a sentence that follow it are neither.
    group = rf"[{letters}\d]"
    digits_follow = rf"(?=(?:{_BETWEEN}[{letters}]{{0,4}}{_BETWEEN}\d){{4}})"
    return rf"[{letters}]{{2}}\d\d{digits_follow}(?:{_BETWEEN}{group}{{4}}){{2,7}}(?:{_BETWEEN}{group}{{1,3}}(?![A-Za-z\d]))?"


# Six digits or more, with the letters around them. It begins only where a word does, so that a long word is read once.
_NUMBER = re.compile(
    rf"(?<![A-Za-z\d])(?:{_iban('A-Z')}|{_iban('a-z')}|[A-Za-z\d]*\d(?:{_BETWEEN}\d){{5,}})(?:{_BETWEEN}\d)*[A-Za-z\d]*"
)


def cover_numbers(text: str) -> str:
    """The text with `***` in place of all that looks like an account number, a card number or an IBAN."""
    return _NUMBER.sub("***", text)
