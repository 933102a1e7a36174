"""Registries that refuse: what kubelet and containerd make of each answer, for real.

The registry is a pod on the node's own 127.0.0.1. containerd tries TLS there first, and goes on without when it is answered in plain HTTP.
Answers are those of the distribution specification (https://github.com/opencontainers/distribution-spec/blob/main/spec.md, error codes),
by the first part of the image's name.
"""

from faults import SMALL, Fault, workload

PHP, PORT, CLOSING, DEAD = "docker.io/library/php:8.2-apache", 18798, 18799, 18800
SERVER = f"""<?php
$answers = ['private' => [401, 'UNAUTHORIZED'], 'token' => [401, 'UNAUTHORIZED'], 'denied' => [403, 'DENIED'],
            'absent' => [404, 'MANIFEST_UNKNOWN'], 'enough' => [429, 'TOOMANYREQUESTS']];
$words = [400 => 'Bad Request', 401 => 'Unauthorized', 403 => 'Forbidden', 404 => 'Not Found', 429 => 'Too Many Requests'];
$server = stream_socket_server('tcp://127.0.0.1:' . $argv[1]);
while ($client = stream_socket_accept($server, -1)) {{
    $first = fread($client, 1);
    if (isset($argv[2])) {{ fclose($client); continue; }}
    [$status, $code, $request] = [400, 'UNSUPPORTED', ''];
    if ($first != chr(22)) {{  // a TLS handshake begins with it
        $request = $first . fgets($client);
        while (trim(fgets($client)) != '') {{ }}
        preg_match('#/(?:v2/)?(\\w+)#', $request, $found);
        [$status, $code] = $answers[$found[1] ?? ''] ?? [400, 'UNSUPPORTED'];
    }}
    $body = json_encode(['errors' => [['code' => $code, 'message' => $code]]]);
    $realm = ($found[1] ?? '') == 'private' ? 'WWW-Authenticate: Bearer realm="http://127.0.0.1:{PORT}/token",service="test"' . "\\r\\n" : '';
    fwrite($client, "HTTP/1.1 $status $words[$status]\\r\\n{{$realm}}Content-Type: application/json\\r\\nContent-Length: " . strlen($body)
                    . "\\r\\nConnection: close\\r\\n\\r\\n" . (str_starts_with($request, 'HEAD') ? '' : $body));
    fclose($client);
    $found = [];
}}
"""


def registry(ns: str) -> list[dict]:
    """The objects of the registry, a Deployment ``registry`` that is ready when it answers; and of one that closes every connection."""
    listens = "exit(fsockopen('127.0.0.1', {}) ? 0 : 1);"
    made = workload(ns, kind="Deployment", name="registry", image=PHP, command=["php", "/server/server.php", str(PORT)],
                    volumes=[{"name": "server", "configMap": {"name": "server"}}],
                    volumeMounts=[{"name": "server", "mountPath": "/server"}],
                    readinessProbe={"exec": {"command": ["php", "-r", listens.format(PORT)]}, "periodSeconds": 5, "timeoutSeconds": 5})
    pod = made["spec"]["template"]["spec"]
    pod["containers"].append({"name": "closing", "image": PHP, "command": ["php", "/server/server.php", str(CLOSING), "closing"],
                              "resources": SMALL, "volumeMounts": pod["containers"][0]["volumeMounts"]})
    pod["hostNetwork"] = True
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "server", "namespace": ns}, "data": {"server.php": SERVER}}
    return [settings, made]


def refused(what: str, signal: str, name: str, port: int = PORT) -> Fault:
    return Fault(what, frozenset({signal}), lambda ns: [workload(ns, image=f"127.0.0.1:{port}/{name}/image:1")],
                 mended=lambda ns: [workload(ns)], notebook="workspaces")


FAULTS = {
    "private": refused("an image that asks for a password", "image-auth", "private"),
    "denied": refused("an image that is denied to us", "image-auth", "denied"),
    "absent": refused("an image that the registry does not have", "image-not-found", "absent"),
    "enough": refused("a registry that has had enough", "image-rate-limit", "enough"),
    "closing": refused("a registry that closes every connection", "image-no-network", "closing", CLOSING),
    "dead": refused("a registry that does not answer", "image-no-network", "dead", DEAD),
}
