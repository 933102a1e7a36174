"""Registries that refuse: what kubelet and containerd make of each answer, for real.

The registry is a pod on the node's own 127.0.0.1, which containerd asks without TLS. It answers as the distribution specification says
(https://github.com/opencontainers/distribution-spec/blob/main/spec.md, error codes), and by the first part of the image's name.
"""

from faults import SMALL, Fault, workload

PHP, PORT, DEAD_PORT = "docker.io/library/php:8.2-apache", 18798, 18799
ANSWERS = f"""<?php
$asked = explode('/', $_SERVER['REQUEST_URI'])[2] ?? '';
$said = ['private' => [401, 'UNAUTHORIZED', 'authentication required'], 'denied' => [403, 'DENIED', 'requested access is denied'],
         'absent' => [404, 'MANIFEST_UNKNOWN', 'manifest unknown'],
         'enough' => [429, 'TOOMANYREQUESTS', 'You have reached your pull rate limit.']][$asked] ?? [200, '', ''];
if (str_starts_with($_SERVER['REQUEST_URI'], '/token')) {{ $said = [401, 'UNAUTHORIZED', 'authentication required']; }}
http_response_code($said[0]);
header('Content-Type: application/json');
if ($said[0] == 401 && $asked) {{
    header('WWW-Authenticate: Bearer realm="http://127.0.0.1:{PORT}/token",service="test",scope="repository:' . $asked . '/image:pull"');
}}
echo json_encode(['errors' => [['code' => $said[1], 'message' => $said[2]]]]);
"""


def registry(ns: str) -> list[dict]:
    """The objects of the registry, a Deployment ``registry`` that is ready when it answers."""
    made = workload(ns, kind="Deployment", name="registry", image=PHP, command=["php", "-S", f"127.0.0.1:{PORT}", "/answers/index.php"],
                    resources=SMALL, volumes=[{"name": "answers", "configMap": {"name": "answers"}}],
                    volumeMounts=[{"name": "answers", "mountPath": "/answers"}],
                    readinessProbe={"exec": {"command": ["php", "-r", f"exit(fsockopen('127.0.0.1', {PORT}) ? 0 : 1);"]}, "periodSeconds": 1})
    made["spec"]["template"]["spec"]["hostNetwork"] = True
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "answers", "namespace": ns}, "data": {"index.php": ANSWERS}}
    return [settings, made]


def refused(what: str, signal: str, name: str, port: int = PORT) -> Fault:
    return Fault(what, frozenset({signal}), lambda ns: [workload(ns, image=f"127.0.0.1:{port}/{name}/image:1")],
                 mended=lambda ns: [workload(ns)], notebook="workspaces")


FAULTS = {
    "private": refused("an image that asks for a password", "image-auth", "private"),
    "denied": refused("an image that is denied to us", "image-auth", "denied"),
    "absent": refused("an image that the registry does not have", "image-not-found", "absent"),
    "enough": refused("a registry that has had enough", "image-rate-limit", "enough"),
    "dead": refused("a registry that does not answer", "image-no-network", "dead", DEAD_PORT),
}
