"""Kubernetes quantities. Source: the API's documentation of ``resource.Quantity``; parsed by the client library."""

from kubernetes.utils.quantity import parse_quantity


def quantity(text: str | int | float) -> float:
    """``"250m"`` → 0.25, ``"1Gi"`` → 1073741824.0. Raises ValueError for anything else."""
    return float(parse_quantity(text))
