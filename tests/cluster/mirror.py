"""A registry inside the cluster that stands in for a mirror of Docker Hub. It is filled from images that the cluster's node already has.

``KUBECONFIG=… python tests/cluster/mirror.py`` stands up the one that ``params/lab.yaml`` names.
"""

import os

import runbook

REGISTRY, DAEMON = "docker.io/library/registry:2", "docker.io/library/docker:28-dind"
#: Image as the node has it → name below the mirror, and what an image made of its files must be told again.
IMAGES = {
    "docker.io/library/php:8.2-apache": ("library/php:8.2-apache", ['CMD ["apache2-foreground"]', "WORKDIR /var/www/html"]),
    "docker.io/library/mariadb:11": ("library/mariadb:11", ['ENTRYPOINT ["docker-entrypoint.sh"]', 'CMD ["mariadbd"]', "VOLUME /var/lib/mysql"]),
}


def url(where: str) -> str:
    return f"http://mirror.{where}.svc.cluster.local:5000"


def objects(where: str) -> list[dict]:
    """A namespace, the registry and its Service, and beside the registry a daemon that fills it."""
    volumes = [{"name": "images", "emptyDir": {}}, {"name": "registry", "emptyDir": {}}]
    mounts = [{"name": "images", "mountPath": "/var/lib/docker"}]
    for i, image in enumerate(IMAGES):
        volumes.append({"name": f"image-{i}", "image": {"reference": image, "pullPolicy": "IfNotPresent"}})
        mounts.append({"name": f"image-{i}", "mountPath": f"/mnt/{i}"})
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": where}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "mirror", "namespace": where},
         "spec": {"selector": {"app": "mirror"}, "ports": [{"port": 5000, "protocol": "TCP"}]}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mirror", "namespace": where, "labels": {"app": "mirror"}}, "spec": {
            "terminationGracePeriodSeconds": 2, "automountServiceAccountToken": False, "enableServiceLinks": False, "volumes": volumes,
            "containers": [
                {"name": "registry", "image": REGISTRY, "volumeMounts": [{"name": "registry", "mountPath": "/var/lib/registry"}]},
                {"name": "filler", "image": DAEMON, "securityContext": {"privileged": True}, "volumeMounts": mounts,
                 "command": ["dockerd-entrypoint.sh", "dockerd", "--host=unix:///var/run/docker.sock"]}]}}]


def fill(cluster, where: str) -> None:
    """Stand the mirror up and put the images into it."""
    for obj in objects(where):
        cluster.apply(obj)
    cluster.wait("Pod", "mirror", where, timeout=180, what="the mirror to run", until=lambda pod: pod is not None and any(
        c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", [])))
    cluster.exec("mirror", ["sh", "-c", "for i in $(seq 60); do docker version >/dev/null 2>&1 && exit 0; sleep 1; done; exit 1"], where, "filler", timeout=90)
    for i, (name, changes) in enumerate(IMAGES.values()):
        told = " ".join(f"--change '{c}'" for c in changes)
        script = f"tar -C /mnt/{i} -c . | docker import {told} - localhost:5000/{name} && docker push -q localhost:5000/{name}"
        cluster.exec("mirror", ["sh", "-c", script], where, "filler", timeout=300)


if __name__ == "__main__":
    fill(runbook.connect("local", name="lab", kubeconfig=os.environ["KUBECONFIG"], mode="apply").cluster, "lab-mirror")
    print(url("lab-mirror"))
