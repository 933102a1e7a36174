"""What follows from an object: pods, claims, endpoints; and what goes with it."""

import pytest

from runbook.cluster import quantity
from runbook.errors import Forbidden, WaitFailed, WaitTimeout
from runbook.operations.objects import delete_objects
from . import things
from .things import told, wait_ready


def test_a_statefulset_has_named_pods_and_bound_claims(cluster, place):
    cluster.apply(things.statefulset(place, "db", replicas=2))
    owner = wait_ready(cluster, "StatefulSet", "db", place)
    pods = cluster.list("Pod", place, selector="app=db")
    assert sorted(p["metadata"]["name"] for p in pods) == ["db-0", "db-1"]
    first = cluster.get("Pod", "db-0", place)
    assert first["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] == "db-0"
    assert first["metadata"]["labels"]["controller-revision-hash"] == owner["status"]["updateRevision"]
    assert first["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]
    assert first["spec"]["hostname"] == "db-0" and first["spec"]["nodeName"]
    assert {v["name"]: v.get("persistentVolumeClaim") for v in first["spec"]["volumes"]}["data"] == {"claimName": "data-db-0"}
    found = cluster.get("PersistentVolumeClaim", "data-db-0", place)
    assert found["status"]["phase"] == "Bound" and found["metadata"]["labels"] == {"app": "db"}
    volume = cluster.get("PersistentVolume", found["spec"]["volumeName"])
    assert volume["spec"]["claimRef"]["uid"] == found["metadata"]["uid"]
    assert volume["metadata"]["name"] == f"pvc-{found['metadata']['uid']}"


def test_the_shape_of_a_running_pod(cluster, place):
    cluster.apply(things.pod(place, "shape"))
    pod = wait_ready(cluster, "Pod", "shape", place)
    status = pod["status"]
    assert {"phase", "podIP", "podIPs", "hostIP", "startTime", "qosClass", "conditions", "containerStatuses"} <= set(status)
    assert {c["type"] for c in status["conditions"]} == {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"}
    [one] = status["containerStatuses"]
    assert one["image"] == "docker.io/library/busybox:1.36" and one["imageID"].startswith("sha256:")
    assert one["ready"] and one["started"] and one["restartCount"] == 0 and "startedAt" in one["state"]["running"]
    assert pod["spec"]["serviceAccountName"] == "default" and pod["spec"]["tolerations"]
    assert any(v["name"].startswith("kube-api-access-") for v in pod["spec"]["volumes"])


def test_claims_outlive_their_statefulset_and_bind_again(cluster, place):
    cluster.apply(things.statefulset(place, "keep"))
    wait_ready(cluster, "StatefulSet", "keep", place)
    before = cluster.get("PersistentVolumeClaim", "data-keep-0", place)
    cluster.delete("StatefulSet", "keep", place)
    cluster.wait("Pod", "keep-0", place, until=lambda o: o is None, timeout=60, what="the pod to go with its owner")
    assert cluster.get("PersistentVolumeClaim", "data-keep-0", place)["metadata"]["uid"] == before["metadata"]["uid"]
    cluster.apply(things.statefulset(place, "keep"))
    wait_ready(cluster, "StatefulSet", "keep", place)
    assert cluster.get("PersistentVolumeClaim", "data-keep-0", place)["spec"]["volumeName"] == before["spec"]["volumeName"]


def test_scaling_to_none_and_back(cluster, place):
    cluster.apply({k: v for k, v in things.statefulset(place, "nap").items()})
    wait_ready(cluster, "StatefulSet", "nap", place)
    cluster.scale("StatefulSet", "nap", place, 0)
    cluster.wait("Pod", "nap-0", place, until=lambda o: o is None, timeout=60, what="the pod to go")
    cluster.scale("StatefulSet", "nap", place, 1)
    wait_ready(cluster, "StatefulSet", "nap", place)


def test_a_changed_template_replaces_the_pod(cluster, place):
    cluster.apply(things.statefulset(place, "roll"))
    wait_ready(cluster, "StatefulSet", "roll", place)
    before = cluster.get("Pod", "roll-0", place)["metadata"]["uid"]
    changed = things.statefulset(place, "roll")
    changed["spec"]["template"]["metadata"]["annotations"] = {"again": "1"}
    cluster.apply(changed)
    cluster.wait("Pod", "roll-0", place, until=lambda o: things.ready(o) and o["metadata"]["uid"] != before, timeout=90, what="the new pod")


def test_a_deleted_pod_comes_again(cluster, place):
    cluster.apply(things.deployment(place, "again"))
    wait_ready(cluster, "Deployment", "again", place)
    [old] = cluster.list("Pod", place, selector="app=again")
    cluster.delete("Pod", old["metadata"]["name"], place)
    cluster.wait("Pod", old["metadata"]["name"], place, until=lambda o: o is None, timeout=60, what="the old pod to go")
    wait_ready(cluster, "Deployment", "again", place)
    [new] = cluster.list("Pod", place, selector="app=again")
    assert new["metadata"]["name"] != old["metadata"]["name"]


def test_a_deployment_its_set_its_pods_and_what_goes_with_it(cluster, place):
    cluster.apply(things.deployment(place, "web", replicas=2))
    owner = wait_ready(cluster, "Deployment", "web", place)
    assert owner["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    assert {c["type"]: (c["status"], c["reason"]) for c in owner["status"]["conditions"]}["Available"] == ("True", "MinimumReplicasAvailable")
    [middle] = cluster.list("ReplicaSet", place, selector="app=web")
    short = middle["metadata"]["labels"]["pod-template-hash"]
    assert middle["metadata"]["name"] == f"web-{short}"
    pods = cluster.list("Pod", place, selector="app=web")
    assert len(pods) == 2 and all(p["metadata"]["name"].startswith(f"web-{short}-") for p in pods)
    cluster.delete("Deployment", "web", place)
    for pod in pods:
        cluster.wait("Pod", pod["metadata"]["name"], place, until=lambda o: o is None, timeout=60, what="the pods to go")
    assert cluster.list("ReplicaSet", place, selector="app=web") == []


def test_a_service_finds_its_pods(cluster, place):
    cluster.apply(things.deployment(place, "found", containers=[things.container(ports=[{"containerPort": 8080, "name": "http"}])]))
    cluster.apply(things.service(place, "found", port=80) | {"spec": {"selector": {"app": "found"}, "ports": [{"port": 80, "targetPort": "http", "name": "web"}]}})
    cluster.apply(things.service(place, "lost"))
    wait_ready(cluster, "Deployment", "found", place)
    [pod] = cluster.list("Pod", place, selector="app=found")
    ends = cluster.wait("Endpoints", "found", place, until=lambda o: o and o.get("subsets"), timeout=30, what="the endpoints")
    assert [(a["ip"], a["targetRef"]["name"]) for a in ends["subsets"][0]["addresses"]] == [(pod["status"]["podIP"], pod["metadata"]["name"])]
    assert ends["subsets"][0]["ports"] == [{"name": "web", "port": 8080, "protocol": "TCP"}]
    [part] = cluster.list("EndpointSlice", place, selector="kubernetes.io/service-name=found")
    assert part["endpoints"][0]["conditions"]["ready"] is True and part["ports"][0]["port"] == 8080
    assert not cluster.get("Endpoints", "lost", place).get("subsets")
    cluster.scale("Deployment", "found", place, 0)
    cluster.wait("Endpoints", "found", place, until=lambda o: not o.get("subsets"), timeout=60, what="no endpoints")
    cluster.delete("Service", "found", place)
    cluster.wait("Endpoints", "found", place, until=lambda o: o is None, timeout=30, what="the endpoints to go with the service")


def test_a_claim_waits_for_its_first_user(cluster, place):
    cluster.apply(things.claim(place, "first"))
    assert cluster.get("PersistentVolumeClaim", "first", place)["status"]["phase"] == "Pending"
    cluster.apply(things.pod(place, "user", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "first"}}]))
    wait_ready(cluster, "Pod", "user", place)
    found = cluster.get("PersistentVolumeClaim", "first", place)
    with pytest.raises(Forbidden, match='persistentvolumeclaims "first" is forbidden: only dynamically provisioned pvc can be resized and the storageclass '
                                        "that provisions the pvc must support resize"):
        cluster.apply(things.claim(place, "first", storage="1Gi"))
    assert found["status"]["phase"] == "Bound" and found["spec"]["storageClassName"] == "local-path"
    cluster.delete("PersistentVolumeClaim", "first", place)
    assert cluster.get("PersistentVolumeClaim", "first", place)["metadata"]["deletionTimestamp"], "a claim in use must stay"
    assert not delete_objects(cluster, [things.claim(place, "first")]), "what is being deleted needs no second deletion"
    cluster.delete("Pod", "user", place)
    cluster.wait("PersistentVolumeClaim", "first", place, until=lambda o: o is None, timeout=60, what="the claim to go with its last user")
    cluster.wait("PersistentVolume", found["spec"]["volumeName"], until=lambda o: o is None, timeout=60, what="the volume to go")


def test_a_claim_without_its_class_is_told(cluster, place):
    cluster.apply(things.claim(place, "classless", storageClassName="does-not-exist"))
    cluster.apply(things.pod(place, "stuck", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "classless"}}]))
    told(cluster, place, "PersistentVolumeClaim/classless", "Warning", "ProvisioningFailed", 'storageclass.storage.k8s.io "does-not-exist" not found')
    told(cluster, place, "Pod/stuck", "Warning", "FailedScheduling", "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found")
    assert cluster.get("Pod", "stuck", place)["status"]["phase"] == "Pending"


@pytest.mark.parametrize("name, spec, reason, words", [
    ("selector", {"nodeSelector": {"disk": "ssd"}}, "FailedScheduling",
     "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. no new claims to deallocate, preemption: 0/1 nodes are available: "
     "1 Preemption is not helpful for scheduling."),
    ("huge", {"containers": [things.container(resources={"requests": {"cpu": "512", "memory": "9Ti"}})]}, "FailedScheduling",
     "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. no new claims to deallocate, preemption: 0/1 nodes are available: "
     "1 Preemption is not helpful for scheduling."),
    ("config", {"containers": [things.container(envFrom=[{"configMapRef": {"name": "absent"}}])]}, "Failed", 'Error: configmap "absent" not found'),
    ("secret", {"containers": [things.container(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "a"}}}])]}, "Failed",
     'Error: secret "absent" not found'),
    ("mount", {"volumes": [{"name": "v", "secret": {"secretName": "absent"}}],
               "containers": [things.container(volumeMounts=[{"name": "v", "mountPath": "/v"}])]},
     "FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "absent" not found'),
])
def test_a_pod_that_cannot_start_says_why(cluster, place, name, spec, reason, words):
    cluster.apply(things.pod(place, f"bad-{name}", **spec))
    told(cluster, place, f"Pod/bad-{name}", "Warning", reason, words)
    assert cluster.get("Pod", f"bad-{name}", place)["status"]["phase"] == "Pending"


def test_a_volume_that_nobody_mounts_keeps_nothing(cluster, place):
    cluster.apply(things.pod(place, "unmounted", volumes=[{"name": "v", "secret": {"secretName": "absent"}}]))
    wait_ready(cluster, "Pod", "unmounted", place)


def test_an_image_that_is_nowhere(cluster, place):
    image = "registry.invalid/none/nothing:1"
    cluster.apply(things.pod(place, "pull", [{"name": "main", "image": image}]))

    def waiting(pod):
        states = [c["state"].get("waiting", {}) for c in pod["status"].get("containerStatuses", [])] if pod else []
        return states and states[0].get("reason") == "ImagePullBackOff"

    pod = cluster.wait("Pod", "pull", place, until=waiting, timeout=60, what="the pull to be given up")
    assert pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"].startswith(f'Back-off pulling image "{image}": ErrImagePull: ')
    reasons = {(e["reason"], e["message"].split(":")[0]) for e in cluster.events(place, of="Pod/pull")}
    assert {("Pulling", 'Pulling image "registry.invalid/none/nothing'), ("Failed", "Error")} <= reasons


def test_what_was_missing_comes_and_the_pod_starts(cluster, place):
    cluster.apply(things.pod(place, "patient", [things.container(envFrom=[{"configMapRef": {"name": "late"}}])]))
    told(cluster, place, "Pod/patient", "Warning", "Failed", 'Error: configmap "late" not found')
    cluster.apply(things.config(place, "late", A="1"))
    wait_ready(cluster, "Pod", "patient", place)


def test_a_job_ends(cluster, place):
    cluster.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": things.meta("once", place),
                   "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [things.container(command=["true"])]}}}})
    done = cluster.wait("Job", "once", place, until=lambda o: o["status"].get("succeeded") == 1, timeout=60, what="the job to end")
    assert ("Complete", "True", "CompletionsReached") in {(c["type"], c["status"], c["reason"]) for c in done["status"]["conditions"]}
    [pod] = cluster.list("Pod", place, selector="job-name=once")
    assert pod["status"]["phase"] == "Succeeded" and pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0


def test_lists_with_selectors(cluster, place):
    for name, labels in (("la", {"tier": "web", "set": "s"}), ("lb", {"tier": "db", "set": "s"}), ("lc", {"set": "s", "old": ""})):
        obj = things.config(place, name)
        cluster.apply({**obj, "metadata": {**obj["metadata"], "labels": labels}})
    names = lambda **query: [o["metadata"]["name"] for o in cluster.list("ConfigMap", place, **query)]
    assert names(selector="set=s") == ["la", "lb", "lc"]
    assert names(selector="set=s,tier in (web, db)") == ["la", "lb"]
    assert names(selector="set=s,tier notin (web)") == ["lb", "lc"]
    assert names(selector="set=s,!tier") == ["lc"]
    assert names(selector="set=s,tier!=web,old") == ["lc"]
    assert names(selector="set=s", fields="metadata.name=lb") == ["lb"]
    assert names(fields="metadata.name=none") == []


def test_a_list_comes_in_pages(cluster, transport, place):
    for i in range(3):
        obj = things.config(place, f"page-{i}")
        cluster.apply({**obj, "metadata": {**obj["metadata"], "labels": {"pages": "yes"}}})
    path = transport.resource("ConfigMap").path(namespace=place)
    first = transport.request("GET", path, {"limit": 2, "labelSelector": "pages=yes"})
    assert [i["metadata"]["name"] for i in first["items"]] == ["page-0", "page-1"]
    rest = transport.request("GET", path, {"limit": 2, "labelSelector": "pages=yes", "continue": first["metadata"]["continue"]})
    assert [i["metadata"]["name"] for i in rest["items"]] == ["page-2"] and not rest["metadata"].get("continue")


def test_waiting_succeeds_fails_and_ends(cluster, place):
    cluster.apply(things.config(place, "awaited", state="new"))
    assert cluster.wait("ConfigMap", "awaited", place, until=lambda o: o["data"]["state"] == "new", timeout=5, what="it")["kind"] == "ConfigMap"
    with pytest.raises(WaitFailed, match="waiting for it: ConfigMap .*/awaited failed: it is new"):
        cluster.wait("ConfigMap", "awaited", place, until=lambda o: False, fail_on=lambda o: f"it is {o['data']['state']}", timeout=5, what="it")
    with pytest.raises(WaitTimeout, match="waiting for it: not within 1 s"):
        cluster.wait("ConfigMap", "awaited", place, until=lambda o: False, timeout=1, what="it")


def test_a_namespace_takes_its_content_along(cluster):
    name = "ct-brief"
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    assert cluster.get("Namespace", name)["status"]["phase"] == "Active"
    cluster.wait("ServiceAccount", "default", name, until=bool, timeout=30, what="its account")
    cluster.apply(things.config(name, "inside"))
    cluster.delete("Namespace", name)
    cluster.wait("Namespace", name, until=lambda o: o is None, timeout=90, what="the namespace to go")
    assert cluster.list("ConfigMap", name) == []


def test_a_quota_counts(cluster, place):
    cluster.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": things.meta("count", place), "spec": {"hard": {"configmaps": "100"}}})
    before = cluster.wait("ResourceQuota", "count", place, until=lambda o: o["status"].get("used"), timeout=30, what="the quota")
    cluster.apply(things.config(place, "counted"))
    wanted = int(quantity(before["status"]["used"]["configmaps"])) + 1
    cluster.wait("ResourceQuota", "count", place, until=lambda o: o["status"]["used"]["configmaps"] == str(wanted), timeout=30, what="one more")


def test_an_autoscaler_holds_the_lower_bound(cluster, place):
    cluster.apply({**(d := things.deployment(place, "auto")), "spec": {k: v for k, v in d["spec"].items() if k != "replicas"}})
    cluster.apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": things.meta("auto", place), "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "auto"}, "minReplicas": 2, "maxReplicas": 3,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}})
    cluster.wait("Deployment", "auto", place, until=lambda o: o["spec"]["replicas"] == 2, timeout=60, what="two replicas")


def test_an_autoscaler_that_cannot_compute_says_why(cluster, place):
    cluster.apply(things.deployment(place, "blind"))
    wait_ready(cluster, "Deployment", "blind", place)
    [pod] = cluster.list("Pod", place, selector="app=blind")
    cluster.apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": things.meta("blind", place), "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "blind"}, "maxReplicas": 2}})
    words = f"missing request for cpu in container main of Pod {pod['metadata']['name']}"

    def said(hpa):
        return any(c["type"] == "ScalingActive" and c["status"] == "False" and c["message"].endswith(words) for c in hpa["status"].get("conditions", []))

    cluster.wait("HorizontalPodAutoscaler", "blind", place, until=said, timeout=120, what="the autoscaler to say why")
