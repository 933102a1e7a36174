"""What ingress controllers want to be told: annotations of an Ingress, and values of the Traefik that k3s ships. Pure."""

import re

import yaml

#: IngressClass controller → annotations for uploads of any size, and connections that are idle for an hour.
#: https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations (1 MB and 60 s are its defaults).
#: Traefik needs none: its limits are those of the entry point.
ANNOTATIONS = {
    "k8s.io/ingress-nginx": {
        "nginx.ingress.kubernetes.io/proxy-body-size": "0",
        "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": "3600",
        "nginx.ingress.kubernetes.io/proxy-send-timeout": "3600",
    },
}
#: The oldest chart whose keys are known here.
OLDEST = 25


def traefik_values(chart_version: str, redirect: bool) -> str:
    """Values (YAML) for a HelmChartConfig of k3s's Traefik: uploads may take longer than a minute; all names to HTTPS, if asked.

    The keys are those of the chart that runs. Source: ``traefik/values.yaml`` and what the templates made of these values, at the tags v25.0.0,
    v27.0.2, v28.0.0, v28.3.0, v33.2.1, v34.2.0, v38.0.2, v39.0.0 and v41.3.0 of github.com/traefik/traefik-helm-chart: ``redirectTo`` up to 33,
    ``redirections`` from 34, below ``http`` from 39; ``transport`` from 28. A key of another version is ignored in silence up to 38, and
    refused from 39 on, which leaves the cluster without Traefik.

    Args:
        chart_version: of the release that runs, ``"34.2.1+up34.2.0"``.

    Raises:
        ValueError: a version whose keys are not known here.
    """
    found = re.match(r"v?(\d+)\.", chart_version)
    major = int(found[1]) if found else 0
    if major < OLDEST:
        raise ValueError(f"Traefik chart {chart_version or '(unknown)'}: its keys are known from {OLDEST} on")
    # Traefik ends reading a request after 60 s by default, and with it every longer upload:
    # https://doc.traefik.io/traefik/reference/install-configuration/entrypoints (respondingTimeouts.readTimeout).
    values: dict = {}
    if major >= 28:
        values = {"ports": {"websecure": {"transport": {"respondingTimeouts": {"readTimeout": "0s"}}}}}
    else:
        values = {"additionalArguments": ["--entryPoints.websecure.transport.respondingTimeouts.readTimeout=0s"]}
    if redirect:
        to = {"entryPoint": {"to": "websecure", "scheme": "https", "permanent": True}}
        web = {"http": {"redirections": to}} if major >= 39 else {"redirections": to} if major >= 34 else {"redirectTo": {"port": "websecure"}}
        values.setdefault("ports", {})["web"] = web
    return yaml.safe_dump(values, sort_keys=True)


def chart_version(chart: str) -> str:
    """The version in a chart's file name: ``"…/static/charts/traefik-34.2.1+up34.2.0.tgz"`` → ``"34.2.1+up34.2.0"``; empty if there is none."""
    found = re.search(r"-(\d+\.\d+\.\d+[^/]*)\.tgz$", chart)
    return found[1] if found else ""
