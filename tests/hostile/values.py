"""What anybody may send in place of a value: everything that JSON can say, and what it cannot quite."""

from __future__ import annotations

from hypothesis import strategies as st

LONG = "x" * 5000
ODD_NUMBERS = (
    0,
    -1,
    1,
    0.5,
    10**6,
    10**18,
    10**400,
    -(10**400),
    1e-320,
    1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
)
ODD_TEXTS = (
    "", " ", "\0", "a\0b", "\ud800", LONG, "../../etc/passwd", "/etc/passwd", "~", "~nobody-here/x", "//", ".", "..",
    "run:", "run:../../x", "own", "a/b@" + "r" * 5000, "a/" + "b" * 5000, "/" + "c" * 5000, "owner/name@../x",
    "prompt:", "prompt:" + "w" * 5000, "os:system", "church-64", "photographic", "ddim", "quick", "NaN", "1e999",
    "<script>alert(1)</script>", "%s%n{}", "\u202e", "\U0001d7d9", "\u0661", "1_000", "true", "null",
)  # fmt: skip

numbers = st.one_of(st.sampled_from(ODD_NUMBERS), st.integers(), st.floats())
texts = st.one_of(st.sampled_from(ODD_TEXTS), st.text(max_size=40))
plain = st.one_of(st.none(), st.booleans(), numbers, texts)
anything = st.recursive(
    plain, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)), max_leaves=8
)
