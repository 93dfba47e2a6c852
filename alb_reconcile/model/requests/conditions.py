"""Conditions and transforms of listener rules, as values."""

from typing import Final, NamedTuple

from alb_reconcile.model.secrets import Headers, is_secret_header

FIELDS: Final = {
    "host_header": ("host-header", "HostHeaderConfig"),
    "path_pattern": ("path-pattern", "PathPatternConfig"),
    "http_header": ("http-header", "HttpHeaderConfig"),
    "http_request_method": ("http-request-method", "HttpRequestMethodConfig"),
    "query_string": ("query-string", "QueryStringConfig"),
    "source_ip": ("source-ip", "SourceIpConfig"),
}
TRANSFORMS: Final = {
    "host_header_rewrite": ("host-header-rewrite", "HostHeaderRewriteConfig"),
    "url_rewrite": ("url-rewrite", "UrlRewriteConfig"),
}
"""By a spec's name of a transform, AWS's name, and the member of AWS's call."""
_HEADERS: Final = ("http_header", "http-header")
_QUERIES: Final = ("query_string", "query-string")
"""As a spec names the conditions, and AWS those that no spec can say."""


class Condition(NamedTuple):
    """A condition, which any of its values, regular expressions or (key, value) pairs meets. `name` is a header's.

    A condition that no spec can say is in AWS's words: `field` is the type, and `values` has the rest.
    """

    field: str
    values: tuple[str, ...] = ()
    regex_values: tuple[str, ...] = ()
    name: str = ""
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def unsupported(self) -> str:
        """What no spec can say; empty for what one can."""
        return "" if self.field in FIELDS else f"{self.field} {self.values[0]}"

    def redacted(self, headers: Headers, instead: str) -> "Condition":
        """The condition without the values of secret headers, and of all queries. A pattern that fits everything is no secret."""

        def hidden(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(dict.fromkeys(instead if value.strip("*?") else value for value in values))

        if self.field in _QUERIES:
            pairs = ((key, instead if value.strip("*?") else value) for key, value in self.pairs)
            return self._replace(values=hidden(self.values), pairs=tuple(dict.fromkeys(pairs)))
        if self.field not in _HEADERS or (self.name and not is_secret_header(self.name, headers)):
            return self
        return self._replace(values=hidden(self.values), regex_values=hidden(self.regex_values))

    def __str__(self) -> str:
        pairs = (f"{key}={value}" if key else value for key, value in self.pairs)
        regex = (f"regex {text}" for text in self.regex_values)
        return f"{self.field} {self.name + ': ' if self.name else ''}{', '.join([*self.values, *regex, *pairs])}"


class Transform(NamedTuple):
    """A rewriting of the request that goes to the target; what no spec can say is in AWS's words, as in `Condition`."""

    type: str
    regex: str = ""
    replacement: str = ""

    @property
    def unsupported(self) -> str:
        """What no spec can say; empty for what one can."""
        return "" if self.type in TRANSFORMS else f"{self.type} {self.regex}"

    def __str__(self) -> str:
        return self.unsupported or f"{self.type} {self.regex} to {self.replacement}"
