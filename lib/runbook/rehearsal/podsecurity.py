"""PodSecurity admission: what a namespace's label ``pod-security.kubernetes.io/enforce`` forbids its pods.

Checks: https://kubernetes.io/docs/concepts/security/pod-security-standards. Words and order: the answers of a v1.36.2 API server
(tests/recorded/podsecurity.json, compared in tests/contract).
"""

from collections.abc import Callable

from runbook.rehearsal.values import at

LABEL = "pod-security.kubernetes.io/enforce"
CAPABILITIES = {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP",
                "SETUID", "SYS_CHROOT"}
SYSCTLS = {"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies",
           "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
           "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret", "image"}


def violations(level: str, pod: dict) -> str:
    """What of a pod breaks ``baseline`` or ``restricted``, in the server's words; empty if nothing does."""
    if level not in ("baseline", "restricted"):
        return ""
    spec = pod["spec"]
    strict = level == "restricted"
    checks = [_apparmor, _capabilities, _host_namespaces, _host_path, _host_ports, _probe_hosts, _privileged, _selinux, _seccomp, _sysctls]
    if strict:  # these have a stricter form of their own
        checks = [c for c in checks if c not in (_capabilities, _host_path, _seccomp)]
        checks += [_escalation, _strict_capabilities, _proc_mount, _strict_volumes, _non_root, _strict_seccomp]
    return ", ".join(filter(None, (check(spec) for check in checks)))


def _containers(spec: dict) -> list[dict]:
    return [*(spec.get("initContainers") or []), *spec["containers"]]


def _names(found: list[str], one: str = "container") -> str:
    """``container "a"``, ``containers "a", "b"``."""
    return f"{one}{'s' if len(found) > 1 else ''} " + ", ".join(f'"{n}"' for n in found)


def _of(spec: dict, test: Callable[[dict], object]) -> list[str]:
    """The names of the containers whose security context fails a test."""
    return [c["name"] for c in _containers(spec) if test(c.get("securityContext") or {})]


def _apparmor(spec: dict) -> str:
    bad = lambda s: at(s, "appArmorProfile", "type") == "Unconfined"
    parts = ['pod must not set AppArmor profile type to "Unconfined"'] if bad(spec.get("securityContext")) else []
    found = _of(spec, bad)
    parts += [f'{_names(found)} must not set AppArmor profile type to "Unconfined"'] if found else []
    return f"forbidden AppArmor profile{'s' if len(parts) > 1 else ''} ({'; '.join(parts)})" if parts else ""


def _added(spec: dict, allowed: set[str]) -> str:
    found = _of(spec, lambda s: set(at(s, "capabilities", "add", default=[])) - allowed)
    extra = sorted({c for o in _containers(spec) for c in at(o, "securityContext", "capabilities", "add", default=[])} - allowed)
    return f"{_names(found)} must not include {', '.join(chr(34) + c + chr(34) for c in extra)} in securityContext.capabilities.add" if found else ""


def _capabilities(spec: dict) -> str:
    told = _added(spec, CAPABILITIES)
    return f"non-default capabilities ({told})" if told else ""


def _strict_capabilities(spec: dict) -> str:
    found = _of(spec, lambda s: "ALL" not in at(s, "capabilities", "drop", default=[]))
    parts = [f'{_names(found)} must set securityContext.capabilities.drop=["ALL"]'] if found else []
    parts += [told] if (told := _added(spec, {"NET_BIND_SERVICE"})) else []
    return f"unrestricted capabilities ({'; '.join(parts)})" if parts else ""


def _host_namespaces(spec: dict) -> str:
    found = [f"{k}=true" for k in ("hostNetwork", "hostPID", "hostIPC") if spec.get(k)]
    return f"host namespaces ({', '.join(found)})" if found else ""


def _host_path(spec: dict) -> str:
    found = [v["name"] for v in spec.get("volumes") or [] if v.get("hostPath")]
    return f"hostPath volumes ({_names(found, 'volume')})" if found else ""


def _strict_volumes(spec: dict) -> str:
    bad = [(v["name"], next(k for k in v if k != "name")) for v in spec.get("volumes") or [] if not VOLUMES & set(v)]
    kinds = sorted({kind for _, kind in bad})
    if not bad:
        return ""
    told = f"{'type' if len(kinds) == 1 else 'types'} " + ", ".join(f'"{k}"' for k in kinds)
    return f"restricted volume types ({_names([n for n, _ in bad], 'volume')} use{'s' if len(bad) == 1 else ''} restricted volume {told})"


def _host_ports(spec: dict) -> str:
    ports = sorted({p["hostPort"] for c in _containers(spec) for p in c.get("ports") or [] if p.get("hostPort")})
    found = [c["name"] for c in _containers(spec) if any(p.get("hostPort") for p in c.get("ports") or [])]
    many = "s" if len(ports) > 1 else ""
    return f"hostPort ({_names(found)} use{'s' if len(found) == 1 else ''} hostPort{many} {', '.join(map(str, ports))})" if ports else ""


def _probe_hosts(spec: dict) -> str:
    def hosts(c: dict) -> list[str]:
        handlers = [c.get(k) for k in ("livenessProbe", "readinessProbe", "startupProbe")] + list((c.get("lifecycle") or {}).values())
        return [h for one in handlers for k in ("httpGet", "tcpSocket") if (h := at(one, k, "host")) and h not in ("127.0.0.1", "::1")]

    found = [c["name"] for c in _containers(spec) if hosts(c)]
    told = sorted({h for c in _containers(spec) for h in hosts(c)})
    many = "s" if len(told) > 1 else ""
    quoted = ", ".join(f'"{h}"' for h in told)
    return f"probe or lifecycle host ({_names(found)} use{'s' if len(found) == 1 else ''} probe or lifecycle host{many} {quoted})" if found else ""


def _privileged(spec: dict) -> str:
    found = _of(spec, lambda s: s.get("privileged"))
    return f"privileged ({_names(found)} must not set securityContext.privileged=true)" if found else ""


def _proc_mount(spec: dict) -> str:
    found = _of(spec, lambda s: s.get("procMount") not in (None, "Default"))
    return f'procMount ({_names(found)} must not set securityContext.procMount to "Unmasked")' if found else ""


def _selinux(spec: dict) -> str:
    def wrong(options: dict) -> list[str]:
        kind = options.get("type") or ""
        told = [f'type "{kind}"'] if kind not in ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t") else []
        return told + [f"{k} may not be set" for k in ("user", "role") if options.get(k)]

    pod = wrong(at(spec, "securityContext", "seLinuxOptions", default={}))
    found = _of(spec, lambda s: wrong(s.get("seLinuxOptions") or {}))
    rest = [w for c in _containers(spec) for w in wrong(at(c, "securityContext", "seLinuxOptions", default={}))]
    setters = " and ".join((["pod"] if pod else []) + ([_names(found)] if found else []))
    told = list(dict.fromkeys(pod + rest))
    return f"seLinuxOptions ({setters} set forbidden securityContext.seLinuxOptions: {'; '.join(told)})" if told else ""


def _seccomp(spec: dict) -> str:
    bad = lambda s: at(s, "seccompProfile", "type") == "Unconfined"
    parts = ['pod must not set securityContext.seccompProfile.type to "Unconfined"'] if bad(spec.get("securityContext")) else []
    found = _of(spec, bad)
    parts += [f'{_names(found)} must not set securityContext.seccompProfile.type to "Unconfined"'] if found else []
    return f"seccompProfile ({'; '.join(parts)})" if parts else ""


def _strict_seccomp(spec: dict) -> str:
    told = _seccomp(spec)
    if told:
        return told
    whole = at(spec, "securityContext", "seccompProfile", "type") in ("RuntimeDefault", "Localhost")
    found = [] if whole else _of(spec, lambda s: at(s, "seccompProfile", "type") not in ("RuntimeDefault", "Localhost"))
    return (f'seccompProfile (pod or {_names(found)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")' if found else "")


def _sysctls(spec: dict) -> str:
    found = [s["name"] for s in at(spec, "securityContext", "sysctls", default=[]) if s["name"] not in SYSCTLS]
    return f"forbidden sysctls ({', '.join(found)})" if found else ""


def _escalation(spec: dict) -> str:
    found = _of(spec, lambda s: s.get("allowPrivilegeEscalation") is not False)
    return f"allowPrivilegeEscalation != false ({_names(found)} must set securityContext.allowPrivilegeEscalation=false)" if found else ""


def _non_root(spec: dict) -> str:
    if spec.get("hostUsers") is False:  # root of a user namespace is nobody outside of it
        return ""
    whole = at(spec, "securityContext", "runAsNonRoot")
    found = _of(spec, lambda s: not (s.get("runAsNonRoot") or (whole and s.get("runAsNonRoot") is None)))
    return f"runAsNonRoot != true (pod or {_names(found)} must set securityContext.runAsNonRoot=true)" if found else ""
