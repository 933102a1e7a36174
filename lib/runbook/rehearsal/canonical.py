"""Values as the API server writes them back: quantities in their canonical form, empty texts of variables left out.

Source of the rules: k8s.io/apimachinery/pkg/api/resource/quantity.go (canonical form); compared with a v1.36.2 API server in tests/contract.
"""

import re
from decimal import ROUND_UP, Decimal

from runbook.rehearsal.schema import QUANTITY, Schemas

DECIMAL = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
BINARY = {0: "", 1: "Ki", 2: "Mi", 3: "Gi", 4: "Ti", 5: "Pi", 6: "Ei"}
FORM = re.compile(r"^([+-]?[0-9.]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$")


def quantity(value: str | int | float) -> str:
    """``0.5`` → ``"500m"``, ``"1024Mi"`` → ``"1Gi"``, ``"1000Mi"`` stays; what is no quantity stays as it is."""
    found = FORM.match(str(value))
    if not found:
        return value
    number, unit = Decimal(found[1]), found[2] or ""
    if unit.endswith("i"):
        amount = (number * 1024 ** next(k for k, v in BINARY.items() if v == unit)).to_integral_value(ROUND_UP)
        if abs(amount) >= 1024:
            power = max(k for k in BINARY if amount % 1024**k == 0)
            return f"{amount / 1024**power:f}{BINARY[power]}"
        return f"{amount:f}"
    if unit[:1] in ("e", "E") and len(unit) > 1:
        return value  # the exponent stays
    amount = number.scaleb(next(k for k, v in DECIMAL.items() if v == unit) + 9).to_integral_value(ROUND_UP)
    if amount == 0:
        return "0"
    power = max(k for k in DECIMAL if amount % 10 ** (k + 9) == 0)
    return f"{amount / 10 ** (power + 9):f}{DECIMAL[power]}"


def settle(schemas: Schemas, obj: dict) -> None:
    """Bring an object into that form, in place."""
    _walk(schemas, obj, schemas.kind(obj["apiVersion"], obj["kind"]))


def _walk(schemas: Schemas, value, schema: dict) -> None:
    if isinstance(value, dict):
        for key in list(value):
            inner = schemas.inner(schema, key)
            if value[key] is None and key not in ("currentMetrics",):
                del value[key]
            elif inner.get(QUANTITY) and isinstance(value[key], (str, int, float)):
                value[key] = quantity(value[key])
            elif key == "env" and isinstance(value[key], list):
                for one in value[key]:
                    if one.get("value") == "":
                        del one["value"]
                    _walk(schemas, one, {})
            elif isinstance(value[key], (dict, list)):
                _walk(schemas, value[key], inner)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        inner = schemas.inner(schema)
        for item in value:
            _walk(schemas, item, inner)
