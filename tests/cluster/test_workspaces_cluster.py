"""Workspaces on a real cluster: from one command to the IDE, .gitpod.yml, stop and start, refusals, twenty at once."""

import io
import json
import subprocess
import sys
import zipfile

import pytest

import git_server
import workspaces_kit as kit
from runbook.attempts import isolation
from runbook.errors import RunbookError
from runbook.facts import workspaces as facts
from runbook.operations import workspaces as operations
from runbook.plans import apply
from runbook.workspaces import KEEPER, KEEPER_NAMESPACE

pytestmark = [pytest.mark.cluster, pytest.mark.long]
OWNER, SHOP = "dev11", "shop"


@pytest.fixture(scope="module")
def site():
    return kit.connect()


@pytest.fixture(scope="module")
def git(site):
    yield kit.serve_git(site)
    site.cluster.delete("Namespace", git_server.NAMESPACE)
    kit.gone(site, "Namespace", git_server.NAMESPACE)


@pytest.fixture(scope="module")
def command(site, git, tmp_path_factory):
    """`runbook workspace …` as a person types it."""
    params = tmp_path_factory.mktemp("site") / "params.yaml"
    params.write_text(json.dumps({"name": "tests", "target": "local", "mode": "apply", "kubeconfig": site.kubeconfig,
                                  "workspaces": {"init_limit": 5}}))

    def run(*words):
        return subprocess.run([sys.executable, "-c", "from runbook.cli import main; main()", "workspace", *words, "--params", str(params)],
                              capture_output=True, text=True, timeout=400)

    return run


@pytest.fixture(scope="module")
def shop(site, git, command):
    kit.unmake(site, OWNER)
    made = command("create", SHOP, "--owner", OWNER, "--repo", f"git://{git}/shop.git")
    yield made
    kit.unmake(site, OWNER)


def sh(site, script, **options):
    return kit.sh(site, OWNER, SHOP, script, **options)


def until(site, script):
    """Wait in the workspace until a script succeeds."""
    return sh(site, f"i=0; until {script}; do i=$((i+1)); [ $i -lt 300 ] || exit 1; sleep 0.2; done")


def test_one_command_to_the_ide_answering(site, shop):
    assert shop.returncode == 0, shop.stdout + shop.stderr
    assert "github: prebuilds are not made here" in shop.stdout
    assert kit.password(site, OWNER, SHOP) not in shop.stdout + shop.stderr
    assert list(facts.ides(site, kit.wanted({"name": SHOP, "owner": OWNER})).status) == [200]


def test_the_repository_is_there_and_served_from_its_location(site, shop):
    assert sh(site, "ls -A /workspace/app").split() == [".git", ".gitpod.yml", "public"]
    status, body = site.cluster.proxy(f"ws-{OWNER}", SHOP, 80, "/")
    assert status == 200 and json.loads(body)["repository"] == "shop"


def test_a_changed_file_shows_on_the_next_request(site, shop):
    for text in ("one", "two"):
        sh(site, f"echo '{text}' >/workspace/app/public/note.txt")
        assert site.cluster.proxy(f"ws-{OWNER}", SHOP, 80, "/note.txt") == (200, f"{text}\n")


def test_tasks_run_as_gitpod_runs_them(site, shop):
    until(site, "[ -s ~/awaited ] && grep -q endless /workspace/.runbook/tasks/3.init")
    assert sh(site, "cat ~/order").split() == ["before", "init", "command"]  # the second task's init failed: its command did not run
    assert sh(site, "cat ~/greeting") == "hello, it's dev\n"
    table = facts.tasks(site, SHOP, OWNER)
    assert list(table.name) == ["Server", "Broken", "Awaits", "Endless"]
    assert list(table.state)[:3] == ["ended 0", "ended 1", "ended 0"]
    assert table.init[3] == "init still running after its limit"
    assert "A server belongs in command" in site.cluster.logs(f"{SHOP}-0", f"ws-{OWNER}", "web")


def test_the_environment_of_a_workspace(site, shop):
    assert sh(site, 'echo "$STAGE"') == "it's dev\n"
    assert sh(site, "whoami; id -u").split() == ["coder", "1000"]
    assert sh(site, "php -v").startswith("PHP 8.")
    query = 'php -r \'echo (new PDO("mysql:host=$_SERVER[DB_HOST];dbname=$_SERVER[DB_DATABASE]", $_SERVER["DB_USERNAME"], $_SERVER["DB_PASSWORD"]))' \
            '->query("SELECT VERSION()")->fetchColumn();\''
    assert "MariaDB" in sh(site, query)
    apaches = "cat $(grep -l apache2 /proc/[0-9]*/comm | sed s/comm/environ/) | tr '\\0' '\\n'"
    assert "DB_PASSWORD=" in sh(site, apaches) and "IDE_PASSWORD=" not in sh(site, apaches)  # the person's pages do not hold the IDE's key
    assert sh(site, "env; cat /proc/1/cmdline").count(kit.password(site, OWNER, SHOP)) == 1  # in IDE_PASSWORD alone
    assert sh(site, "ls /var/run/secrets/kubernetes.io 2>&1", check=False).strip().endswith("No such file or directory")


def test_gp(site, shop):
    assert "8000" in json.loads(sh(site, "cat ~/.local/share/code-server/Machine/settings.json"))["remote.portsAttributes"]
    sh(site, "gp env COLOUR=\"it's blue\"")
    assert sh(site, 'eval "$(gp env -e)"; echo $COLOUR') == "it's blue\n"
    sh(site, "gp env -u COLOUR")
    assert sh(site, "gp env") == ""
    assert sh(site, "gp env GITPOD_X=1 2>&1", check=False).startswith("gp: GITPOD_X")
    assert "workspace  shop" in sh(site, "gp info")
    listed = sh(site, "gp ports list")
    assert {line.split()[0] for line in listed.splitlines()} >= {"80", "3306", "13337"}
    sh(site, "(sleep 1; php -S 0.0.0.0:8001 >/dev/null 2>&1 &); gp ports await 8001")
    domain = site.helm.release(SHOP, f"ws-{OWNER}").values.get("domain")  # step 05 may have run on this cluster
    assert (f"https://{SHOP}-{OWNER}.ws.{domain}\n" if domain else "no URL yet") in sh(site, "gp url 2>&1", check=False)
    assert "is not a port" in sh(site, "gp ports await x 2>&1", check=False)


def extension():
    """A tiny extension, packed as the IDE installs them."""
    manifest = {"name": "nothing", "publisher": "tests", "version": "1.0.0", "engines": {"vscode": "*"}}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("extension/package.json", json.dumps(manifest))
    return packed.getvalue().hex()


def test_stop_and_start_keep_files_extensions_and_rows(site, shop, command):
    code = "/opt/ide/usr/lib/code-server/bin/code-server"
    sh(site, f"php -r 'file_put_contents(\"/tmp/x.vsix\", hex2bin(\"{extension()}\"));' && {code} --install-extension /tmp/x.vsix", timeout=120)
    sh(site, "echo kept >/workspace/app/kept.txt")
    table = 'mariadb -h127.0.0.1 -u"$MARIADB_USER" -p"$MARIADB_PASSWORD" "$MARIADB_DATABASE" -BNe'
    site.cluster.exec(f"{SHOP}-0", ["sh", "-c", f"{table} 'CREATE TABLE t (n INT); INSERT INTO t VALUES (42)'"], f"ws-{OWNER}", "mariadb")
    assert command("stop", SHOP, "--owner", OWNER).returncode == 0
    assert site.cluster.get("Pod", f"{SHOP}-0", f"ws-{OWNER}") is None
    listed = kit.wanted({"name": SHOP, "owner": OWNER, "repo": repository(site)}, init_limit=5)
    assert not operations.ensure_workspaces(site, listed)  # running 02 again does not start it
    assert command("start", SHOP, "--owner", OWNER).returncode == 0
    assert sh(site, "cat /workspace/app/kept.txt") == "kept\n"
    assert "tests.nothing" in sh(site, f"{code} --list-extensions", timeout=120)
    done = site.cluster.exec(f"{SHOP}-0", ["sh", "-c", f"{table} 'SELECT n FROM t'"], f"ws-{OWNER}", "mariadb")
    assert done.stdout.strip() == "42"
    until(site, "[ $(wc -l <~/order) -ge 7 ]")
    # No init ran again: not the one that ended, not the one that failed, not the endless one. What follows them did.
    assert sorted(sh(site, "cat ~/order").split()) == sorted("before init command before command never not-reached".split())


def repository(site):
    return site.helm.release(SHOP, f"ws-{OWNER}").values["repo"]["url"]


def test_gp_stop(site, shop, command):
    assert sh(site, "gp stop") == "This workspace stops now. Files, settings and data stay.\n"
    kit.gone(site, "Pod", f"{SHOP}-0", f"ws-{OWNER}")
    assert list(facts.table(site, OWNER).state) == ["stopped"]
    assert command("start", SHOP, "--owner", OWNER).returncode == 0


def test_gp_stop_says_when_nobody_answers(site, shop):
    done = site.cluster.exec(f"{SHOP}-0", ["sh", "-c", "WORKSPACE_KEEPER=http://127.0.0.1:65000 /opt/runbook/gp stop"], f"ws-{OWNER}", "web", check=False)
    assert done.exit_code == 1 and "the keeper does not answer (ECONNREFUSED)" in done.stderr
    assert f"runbook workspace stop {SHOP} --owner {OWNER}" in done.stderr


def asked(site, pod, where, host):
    """What becomes of a connection from a pod to a host, port 80: as the attempts of step 04 say it."""
    return site.cluster.exec(pod, [isolation.NODE, "-e", isolation.CONNECT, host, "80"], where, "web").stdout.strip()


def test_only_workspaces_reach_the_keeper(site, shop):
    assert asked(site, f"{SHOP}-0", f"ws-{OWNER}", f"{KEEPER}.{KEEPER_NAMESPACE}") == "open"
    live = site.cluster.get("Pod", f"{SHOP}-0", f"ws-{OWNER}")
    web = next(c for c in live["spec"]["containers"] if c["name"] == "web")
    site.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger", "namespace": f"ws-{OWNER}"}, "spec": {
        "terminationGracePeriodSeconds": 0, "volumes": [v for v in live["spec"]["volumes"] if v["name"] == "ide"],
        "containers": [{"name": "web", "image": web["image"], "command": ["sleep", "300"],
                        "volumeMounts": [{"name": "ide", "mountPath": "/opt/ide"}]}]}})
    try:
        site.cluster.wait("Pod", "stranger", f"ws-{OWNER}", until=kit.ready, timeout=60, what="a stranger's pod")
        assert asked(site, "stranger", f"ws-{OWNER}", f"{KEEPER}.{KEEPER_NAMESPACE}") in ("no answer", "ECONNREFUSED")
    finally:
        site.cluster.delete("Pod", "stranger", f"ws-{OWNER}")


def test_the_keeper_lists_pods_and_stops_workspaces_and_has_no_other_right(site, shop):
    pod, = [p["metadata"]["name"] for p in site.cluster.list("Pod", KEEPER_NAMESPACE) if kit.ready(p)]
    ask = """const fs = require('fs'), at = '/var/run/secrets/kubernetes.io/serviceaccount/';
    const one = ([method, path]) => new Promise((say) => { const request = require('https').request({ host: 'kubernetes.default.svc', method, path,
      ca: fs.readFileSync(at + 'ca.crt'), headers: { authorization: 'Bearer ' + fs.readFileSync(at + 'token'),
      'content-type': 'application/merge-patch+json' } }, (a) => { a.resume(); say(a.statusCode) }); request.end(method === 'PATCH' ? '{}' : undefined) });
    Promise.all(JSON.parse(process.argv[1]).map(one)).then((all) => console.log(all.join(' ')))"""
    scale = "/apis/apps/v1/namespaces/{}/statefulsets/{}{}?dryRun=All"
    asked_for = [("GET", "/api/v1/pods?limit=1"), ("PATCH", scale.format(f"ws-{OWNER}", SHOP, "/scale")),
                 ("PATCH", scale.format(f"ws-{OWNER}", SHOP, "")), ("PATCH", scale.format("ws-devgit", "x", "/scale")),
                 ("GET", f"/api/v1/namespaces/ws-{OWNER}/secrets"), ("GET", f"/apis/apps/v1/namespaces/ws-{OWNER}/statefulsets"),
                 ("GET", f"/api/v1/namespaces/ws-{OWNER}/pods/{SHOP}-0"), ("GET", "/api/v1/nodes")]
    said = site.cluster.exec(pod, ["/usr/lib/code-server/lib/node", "-e", ask, json.dumps(asked_for)], KEEPER_NAMESPACE).stdout
    assert said.split() == ["200", "200"] + ["403"] * 6


@pytest.mark.parametrize("repo, said", [
    ("git://{git}/bad.git", "not valid YAML"),
    ("git://{git}/nothing.git", "not exported"),
    ("http://{git}/shop.git", "git_secret"),
    ("http://{git}/ghost.git?x=y", "cannot be read"),
    ("ftp://{git}/shop.git", "a URL that git clone takes"),
    ("https://user:word@example.org/x.git", "without a password in it"),
])
def test_a_repository_that_will_not_do(site, git, command, repo, said):
    refused = command("create", "x", "--owner", "dev12", "--repo", repo.format(git=git))
    assert refused.returncode == 1
    assert said in refused.stderr and "Do this:" in refused.stderr
    assert site.cluster.get("Namespace", "ws-dev12") is None


def test_an_image_that_does_not_exist_leaves_nothing(site, git, command):
    refused = command("create", "ghost", "--owner", "dev13", "--repo", f"git://{git}/ghost.git")
    assert refused.returncode == 1 and "no-such-image:1" in refused.stderr and "ImagePullBackOff" in refused.stderr
    kit.gone(site, "Namespace", "ws-dev13")


def test_a_dockerfile_is_named_and_the_default_image_used(site, git, command):
    made = command("create", "built", "--owner", "dev14", "--repo", f"git://{git}/dockerfile.git")
    assert made.returncode == 0 and "image.file: .gitpod.Dockerfile is not built here" in made.stdout
    kit.unmake(site, "dev14")


def test_a_repository_with_its_password_by_reference(site, git):
    site.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ws-dev15"}}, force=True)
    site.cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git", "namespace": "ws-dev15"},
                        "stringData": {"username": git_server.USER, "password": git_server.PASSWORD}}, force=True)
    kit.make(site, {"name": "closed", "owner": "dev15", "repo": f"http://{git}/shop.git", "git_secret": "git"})
    assert "cloned" in site.cluster.logs("closed-0", "ws-dev15", "clone")
    kit.unmake(site, "dev15")


@pytest.mark.parametrize("keys", [{"ide": "copy"}, {"image": "docker.io/library/mariadb:11"}], ids=["ide-copied", "image-without-apache"])
def test_other_ways_to_an_ide(site, keys):
    listed = kit.make(site, {"name": "odd", "owner": "dev16"}, **keys)
    assert list(facts.ides(site, listed).status) == [200]
    kit.unmake(site, "dev16")


def test_adminer_is_beside_the_database(site):
    """The lab has no image of Adminer: PHP's own server, as that image starts it, stands in."""
    kit.make(site, {"name": "tables", "owner": "dev18"}, adminer=True, adminer_image="docker.io/library/php:8.2-apache")
    ask = "php -r 'echo @file_get_contents(\"http://127.0.0.1:8978/\") !== false || isset($http_response_header) ? $http_response_header[0] : \"silent\";'"
    assert kit.sh(site, "dev18", "tables", ask).startswith("HTTP/1.")
    kit.unmake(site, "dev18")


def test_an_owner_over_the_quota_is_told_so(site, command):
    try:
        kit.make(site, {"name": "one", "owner": "dev17"}, quota={"memory": "500Mi"})
        with pytest.raises(RunbookError) as refused:
            kit.make(site, {"name": "one", "owner": "dev17"}, {"name": "two", "owner": "dev17"}, quota={"memory": "500Mi"}, timeout=20)
        assert "exceeded quota" in str(refused.value)
        assert list(facts.table(site, "dev17").name) == ["one"]
    finally:
        kit.unmake(site, "dev17")


def test_twenty_at_once(site):
    owners = [f"dev2{i}" for i in range(10)]
    kit.unmake(site, *owners)
    try:
        listed = kit.make(site, *[{"name": name, "owner": owner} for owner in owners for name in ("one", "two")])
        table = facts.table(site)
        table = table[table.owner.isin(owners)]
        assert len(table) == 20 and facts.settled(table, listed)
        assert all(table[table.state == "queued"].why.str.contains("Insufficient|insufficient"))
        print(table.state.value_counts().to_dict())
        for owner in owners:
            for name in ("one", "two"):
                apply(operations.delete(site, name, owner), "apply")
        left = [n["metadata"]["name"] for n in site.cluster.list("Namespace") if n["metadata"]["name"].removeprefix("ws-") in owners]
        assert left == []
    finally:
        kit.unmake(site, *owners)
