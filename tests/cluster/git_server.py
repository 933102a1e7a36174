"""A git server inside the cluster: `git://` for everybody, `http://` for whoever knows the password. For tests."""

NAMESPACE = "ws-devgit"
USER, PASSWORD = "reader", "open-sesame"

GITPOD = """\
checkoutLocation: app
workspaceLocation: app/public
env: {STAGE: "it's dev"}
gitConfig: {alias.st: status}
github: {prebuilds: {master: true}}
vscode: {extensions: [nobody.nothing]}
ports:
  - {port: 8000, onOpen: open-preview, visibility: public, name: Shop}
tasks:
  - name: Server
    before: echo before >>~/order
    init: |
      echo init >>~/order
      echo "$GREETING, $STAGE" >~/greeting
    command: |
      echo command >>~/order
      gp sync-done served
    env: {GREETING: hello}
  - name: Broken
    init: "false"
    command: echo never >>~/order
  - name: Awaits
    command: gp sync-await served && echo awaited >>~/awaited
  - name: Endless
    init: sleep 1000000
    command: echo not-reached >>~/order
"""

PAGE = "<?php echo json_encode(['repository' => 'shop', 'php' => PHP_VERSION]);"

SCRIPT = r"""
set -eu
export HOME=/tmp GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0=t GIT_CONFIG_KEY_1=user.email GIT_CONFIG_VALUE_1=t@t
mkdir -p /tmp/srv && cd /tmp
make() { # NAME: a repository of the folder /tmp/NAME
  git -C "/tmp/$1" init -q -b main && git -C "/tmp/$1" add . && git -C "/tmp/$1" commit -qm first
  git clone -q --bare "/tmp/$1" "/tmp/srv/$1.git" && git -C "/tmp/srv/$1.git" update-server-info
}
mkdir -p shop/public bad dockerfile ghost
printf %s "$GITPOD" >shop/.gitpod.yml; printf %s "$PAGE" >shop/public/index.php
printf 'tasks: [\n' >bad/.gitpod.yml
printf 'image: {file: .gitpod.Dockerfile}\n' >dockerfile/.gitpod.yml; cp shop/public/index.php dockerfile/
printf 'image: docker.io/library/no-such-image:1\n' >ghost/.gitpod.yml
make shop; make bad; make dockerfile; make ghost
exec git daemon --export-all --reuseaddr --base-path=/tmp/srv
"""

SECRETIVE = r"""
cd /tmp/srv && exec /usr/lib/code-server/lib/node -e '
const fs = require("fs"), expected = "Basic " + Buffer.from(process.env.LOGIN).toString("base64");
require("http").createServer((request, response) => {
  if (request.headers.authorization !== expected) return response.writeHead(401, {"WWW-Authenticate": "Basic realm=git"}).end();
  const file = "/tmp/srv" + new URL(request.url, "http://h").pathname;
  fs.readFile(file, (error, data) => error ? response.writeHead(404).end() : response.end(data));
}).listen(8080);'
"""


def objects() -> list[dict]:
    """Namespace, pod and Service."""
    image, labels = "docker.io/codercom/code-server:4", {"app": "git"}
    resources = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}}
    mounts = [{"name": "srv", "mountPath": "/tmp/srv"}]
    served = {"tcpSocket": {"port": 9418}, "periodSeconds": 1}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "git", "namespace": NAMESPACE, "labels": labels}, "spec": {
            "terminationGracePeriodSeconds": 1, "volumes": [{"name": "srv", "emptyDir": {}}], "containers": [
                {"name": "git", "image": image, "command": ["sh", "-c", SCRIPT], "readinessProbe": served, "resources": resources,
                 "volumeMounts": mounts, "env": [{"name": "GITPOD", "value": GITPOD}, {"name": "PAGE", "value": PAGE}]},
                {"name": "http", "image": image, "command": ["sh", "-c", SECRETIVE], "resources": resources, "volumeMounts": mounts,
                 "env": [{"name": "LOGIN", "value": f"{USER}:{PASSWORD}"}]}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "git", "namespace": NAMESPACE}, "spec": {
            "selector": labels, "ports": [{"name": "git", "port": 9418}, {"name": "http", "port": 80, "targetPort": 8080}]}},
    ]
