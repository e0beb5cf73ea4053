"""Account and card numbers as anybody may write them, and letters around them."""

import string

from hypothesis import strategies as st

WORDS = st.text(string.ascii_letters + " ", max_size=30)
_BETWEEN = st.text(st.characters().filter(lambda c: not c.isalnum()), max_size=3)


@st.composite
def written_numbers(draw: st.DrawFn) -> str:
    """Six digits or more of any script, with anything between them that is neither letter nor digit."""
    digits = draw(st.text(st.characters(categories=["Nd"]), min_size=6, max_size=34))
    return "".join(digit + draw(_BETWEEN) for digit in digits[:-1]) + digits[-1]
