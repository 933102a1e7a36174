"""What the models of the parameters are made of: types with their patterns, and a section that shows itself."""

from html import escape
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from runbook.secrets import MASK, SECRET_KEY

Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$")]
#: No hyphen: ``<workspace>-<owner>`` then names one workspace only.
Owner = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,19}$")]
Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]
#: A password in the URL would end up in reports; it belongs in a Secret.
Repository = Annotated[str, StringConstraints(
    pattern=r"^((https?|git)://[^\s:@/]+(:[0-9]+)?/\S+|ssh://([A-Za-z0-9._-]+@)?[^\s:@/]+(:[0-9]+)?/\S+|[A-Za-z0-9._-]+@[^\s:@/]+:\S+)?$")]
#: A workspace in a list: its owner, a slash, its name.
Title = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,19}/[a-z]([a-z0-9-]{0,28}[a-z0-9])?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Cidr = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$")]

DOMAIN = r"^(auto|([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$"
NAMESPACE = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
OwnerList = list[Owner]
NameList = list[Annotated[str, StringConstraints(pattern=NAMESPACE)]]

#: Pattern → what it asks for, in words.
PATTERNS = {
    DOMAIN: "auto, or a domain such as code.example.org in small letters",
    NAMESPACE: "small letters, digits and hyphens",
    Name.__metadata__[0].pattern: "small letters, digits and hyphens, beginning with a letter, at most 30",
    Owner.__metadata__[0].pattern: "small letters and digits, beginning with a letter, at most 20, no hyphen",
    Quantity.__metadata__[0].pattern: 'a Kubernetes quantity in quotes, such as "500m" or "2Gi"',
    Repository.__metadata__[0].pattern: "a URL that git clone takes (https, http, ssh or git), without a password in it",
    r"^(https?://[A-Za-z0-9.:_/-]+)?$": "a URL that begins with http:// or https://",
    Title.__metadata__[0].pattern: "a workspace as owner/name",
    Cidr.__metadata__[0].pattern: 'a network, such as "100.64.85.0/24"',
}


class Section(BaseModel):
    """A section of the parameters. Shows itself as a table in a notebook."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_default=True)

    def _repr_html_(self) -> str:
        given = self.model_fields_set
        rows = "".join(
            f"<tr><td><b>{name}</b></td><td>{escape(shown(name, getattr(self, name)))}</td>"
            f"<td><small>{'given' if name in given else 'default'}</small></td><td><small>{escape(info.description or '')}</small></td></tr>"
            for name, info in type(self).model_fields.items())
        return f"<table><tr><th>key</th><th>value</th><th></th><th>meaning</th></tr>{rows}</table>"

    def __repr__(self) -> str:
        return "\n".join(f"{n}: {shown(n, getattr(self, n))}" for n in type(self).model_fields)

    __str__ = __repr__


def shown(key: str, value: Any) -> str:
    """A value for people: on one line, secrets masked."""
    if SECRET_KEY.search(key) and value:
        return MASK
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(key, v) for v in value) or "(none)"
    if isinstance(value, BaseModel):
        return " ".join(f"{k}={v}" for k, v in value.model_dump().items() if v not in ("", [], {}))
    return str(value) if value != "" else "(none)"
