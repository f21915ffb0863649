"""Hypothesis strategies for what the pure core takes in."""

from __future__ import annotations

from hypothesis import strategies as st

from enc.terms.names import Certname, ClassName, DataKey, EnvironmentName, ParameterName, VariableName

# What a directory may hold: any Unicode but NUL and surrogates (UTF-8 has none).
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
ascii_texts = st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=40)

certnames = st.from_regex(Certname.pattern, fullmatch=True).filter(Certname.accepts).map(Certname)
class_names = st.from_regex(r"[a-d](?:::[a-d])?", fullmatch=True).map(ClassName)
parameter_names = st.sampled_from("pqr").map(ParameterName)
variable_names = st.sampled_from(["v", "w", "site", "a::b"]).map(VariableName)
PLAIN_DATA_KEYS = ("k", "a::k", "b-c", "role::x:mode")
ODD_DATA_KEYS = (
    "",
    " ",
    "a.b",
    "c d",
    "c  d",
    "x=y",
    "=",
    '"',
    '"q"',
    '"q"=1',
    "9x",
    "-x",
    "é",
    "ﬁ",
    "a\nb",
    "<<",
    "\0",
    "👍",
)
data_keys = (st.sampled_from(PLAIN_DATA_KEYS) | st.sampled_from(ODD_DATA_KEYS)).map(DataKey)
environments = st.sampled_from(["test", "production", "dev_1"]).map(EnvironmentName)

numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts
LOOKS_LIKE_SOMETHING = (
    *("", " ", "~", "null", "yes", "No", "on", "true", "0x1F", "0755", "1e3", "1_000", "12:34:56", "2012-05-30"),
    *(".inf", ".nan", "-", "- a", "? a", ": a", ":sym", "a: b", "a #b", "# a", "<<", "=", "---", "...", "%YAML", "!x"),
    *("&a", "*a", "|", ">", "[", "{", "'", '"', "\\", "`", "@", "\t", "\n", "a\n", "\r\n", "\x85", "\u2028", "\ufeff"),
    *("\x7f", "\x1b[31m", "😀", "e\u0301", "\ue000", "a" * 300),
)
awkward = st.sampled_from(LOOKS_LIKE_SOMETHING)
with_nul = st.sampled_from(["\0", "a\0b"])
"""Only JSON's escapes can carry it."""
keys = texts | awkward | with_nul | st.sampled_from(["k" * 2000, "<<", "é" * 400]) | numbers
values = st.recursive(
    scalars | awkward | with_nul,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
"""Everything that may be the value of a variable, a parameter or hiera data."""
