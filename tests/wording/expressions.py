"""Expressions that plain English for this project avoids, each with what to write.

A space stands for any white space, so that a phrase is found across line ends.
`START` is the start of a paragraph, list item, table cell or docstring.
"""

import re
from typing import Final

START: Final = r"(?:\A|\n[ ]*\n[ ]*|\n?[ ]*[*|][ ]+|\"\"\")"

_TABLE: Final = (
    (r"\b(tells?|told|telling)\b", "return, log, report, send, show"),
    (
        r"\b(nobody|somebody|anybody|everybody)\b",
        "unauthenticated, or name the subject",
    ),
    (r"\bwhoever\b", "anyone who"),
    (
        r"(?:START|[.;,(] ?|\b(for|to|by|lets|sends|from) )"
        r"who (is|has|may|can|reads|writes|holds|asks|leaves)\b(?! calling)",
        "a user who, the client that",
    ),
    (
        r"\b(mend(s|ed|ing)?|nought|telephone|anew|heed(s|ed)?)\b",
        "fix, zero, phone, again, obey",
    ),
    (r"\bbesides?\b", "in addition to, next to, also"),
    (r"\bserves? on\b|\bthat serves\b(?! it)", "stays active, is active"),
    (
        r"\b(is|are|was|be) (said|spoken|believed|obeyed|honou?red)\b",
        "is stated, supported, trusted, applied",
    ),
    (r"\b(hears?|heard)\b", "is notified, receives"),
    (
        r"\bfloors?\b|\bof the house\b|\bthe room that\b|\bthe door to\b",
        "layer, module, client",
    ),
    (r"\b(is|are|was) over\b", "has expired, has ended"),
    (r"\b(cannot|could not) be (told|asked|had)\b", "cannot be determined, queried"),
    (
        r"\b(is|are) let (in|through|go)\b|\bturned? away\b|\blets? \w+ in\b",
        "is allowed, is rejected",
    ),
    (r"\b(?-i:[Ww]e|us|[Oo]urs?)\b", "the gateway, the project"),
    (
        r"\bsays? (nothing|so|it|that|which|who|what|when|until|how|why)\b",
        "states, lists, explains, reports",
    ),
    (r"\bbecome of\b", "happen to, be handled"),
    (r"\bin (the )?place of\b", "instead of"),
    (
        r"\b(the way of|on the way|way back|on its way)\b",
        "path, return address, in transit",
    ),
    (r"\bstands? (in|on|at|there|beside|before)\b", "is in, is at"),
    (
        r"(?<!there\s)\b(is|are|was) no (?!longer\b|more\b|such\b|less\b|later\b)\w",
        "is not a, is invalid",
    ),
    (
        r'"""(Tell|Give|Hear|Name|Note|Say|Take|Have|Let|See that|Leave)\b',
        "Return, Raise, or the exact verb",
    ),
    (
        r"\b(takes?|took|taken) (for|apart|into use|at once|back|off)\b",
        "treats as, decodes, activates, applies immediately, removes",
    ),
    (
        r"\b(for trying out|to look around|by itself|of itself|one's own)\b",
        "for evaluation, automatically, custom",
    ),
    (
        r"\b(nothing|nobody|none|never|all|everything|any|no one|skips) but\b"
        r"|\bbut (by|for) ",
        "only, except",
    ),
    (
        r"\bask(s|ed|ing)? (Redis|the store|nobody|nothing)\b"
        r"|\b(Redis|store)( \w+){0,3} asked\b",
        "query Redis",
    ),
)


def _compiled(expression: str) -> re.Pattern[str]:
    spaced = expression.replace(" ?", r"\s*").replace(" ", r"\s+")
    return re.compile(spaced.replace("START", START), re.IGNORECASE)


EXPRESSIONS: Final = tuple(
    (_compiled(expression), advice) for expression, advice in _TABLE
)
