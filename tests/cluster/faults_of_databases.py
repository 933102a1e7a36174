"""Databases that do not come up, each for a reason of its own, for real: the words of MariaDB itself."""

from faults import DATABASE_READY, MARIADB, Fault, workload

DATA = "/var/lib/mysql"
NO_PASSWORD = [{"name": "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD", "value": "1"}]


def database(ns: str, before: str = "", size: str = "512Mi", command=None, **more) -> dict:
    """A database in memory; ``before`` is a script that runs, as root, before it starts."""
    made = workload(ns, image=MARIADB, command=command, resources={"requests": {"cpu": "5m", "memory": "64Mi"}}, name_in_pod="mariadb", env=NO_PASSWORD,
                    volumes=[{"name": "data", "emptyDir": {"medium": "Memory", "sizeLimit": size}}],
                    volumeMounts=[{"name": "data", "mountPath": DATA}], **{"readinessProbe": DATABASE_READY} | more)
    pod = made["spec"]["template"]["spec"]
    if before:
        pod["initContainers"] = [{"name": "before", "image": MARIADB, "command": ["sh", "-ec", before], "resources": {},
                                  "volumeMounts": pod["containers"][0]["volumeMounts"]}]
    return made


def broken(what: str, signal: str, make) -> Fault:
    return Fault(what, frozenset({signal}), lambda ns: [make(ns)], mended=lambda ns: [database(ns)], notebook="workspaces", surely=False)


MADE = f"mariadb-install-db --user=mysql --datadir={DATA} >/dev/null"
WRONG_PASSWORD = {"exec": {"command": ["sh", "-c", "mariadb -uroot -pnot-this-one -h127.0.0.1 -e 'select 1'"]}, "periodSeconds": 2}
FAULTS = {
    "small": broken("a database on a full volume", "db-disk-full", lambda ns: database(ns, size="16Mi")),
    "foreign": broken("a database whose files are somebody else's", "db-permissions",
                      lambda ns: database(ns, before=f"{MADE}; chown -R 0:0 {DATA}; chmod -R go-rwx {DATA}",
                                          command=["mariadbd", "--user=mysql", f"--datadir={DATA}", "--socket=/tmp/socket"])),
    "damaged": broken("a database whose files are damaged", "db-corrupt",
                      lambda ns: database(ns, before=f"{MADE}; dd if=/dev/urandom of={DATA}/ibdata1 bs=16k count=64 conv=notrunc")),
    "password": broken("a database that refuses its own password", "db-password",
                       lambda ns: database(ns, readinessProbe=WRONG_PASSWORD)),
}
