"""The real API server, over the Kubernetes client's DynamicClient. Nothing else imports ``kubernetes``."""

import json
import os
import re
import time
from collections.abc import Iterator

import urllib3
import yaml
from kubernetes import client, config, dynamic
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from kubernetes.dynamic.exceptions import DynamicApiError, ResourceNotFoundError, ResourceNotUniqueError
from kubernetes.stream import stream
from urllib3.exceptions import HTTPError
from websocket import WebSocketException

from runbook.cluster.transport import ApiFailure, Resource
from runbook.errors import ParameterError
from runbook.host import Result

HANDSHAKE = re.compile(r"^Handshake status (\d{3}) ")  #: of the package websocket-client
CONNECT_SECONDS, READ_SECONDS = 5, 60


class KubeTransport:
    """REST, watch and exec against the API server that a kubeconfig names."""

    replayed = ""
    static = False

    def __init__(self, kubeconfig: str):
        path = os.path.expanduser(kubeconfig)
        try:
            settings = client.Configuration()
            config.load_kube_config(path, client_configuration=settings)
        except (ConfigException, yaml.YAMLError, TypeError, AttributeError, ValueError) as error:
            raise ParameterError(f"kubeconfig {kubeconfig}: {error}", do="give the path of a kubeconfig with a current context") from None
        except OSError as error:
            raise ParameterError(f"kubeconfig {kubeconfig}: {error.strerror}", do="give the path of a kubeconfig you may read") from None
        settings.retries = urllib3.Retry(0, redirect=3)  # retries are Cluster's, who says what it does
        self._api = client.ApiClient(settings)
        self.server = settings.host
        self._dynamic: dynamic.DynamicClient | None = None
        self._resources: dict[str, Resource] = {}

    def resource(self, kind: str) -> Resource:
        if kind not in self._resources:
            wanted = dict(zip(("api_version", "kind"), kind.rsplit("/", 1))) if "/" in kind else {"kind": kind}
            found = self._discover(wanted)
            self._resources[kind] = Resource(found.group_version, found.kind, found.name, bool(found.namespaced))
        return self._resources[kind]

    def _discover(self, wanted: dict):
        try:
            if self._dynamic is None:
                self._dynamic = dynamic.DynamicClient(self._api)
            return self._dynamic.resources.get(**wanted)
        except ResourceNotUniqueError:
            # The same kind in several groups or versions: the server's preferred ones first, the core group before others.
            found = [r for r in self._dynamic.resources.search(**wanted) if r.name and "/" not in r.name and not r.kind.endswith("List")]
            return sorted(found, key=lambda r: (r.group != "", not r.preferred))[0]
        except ResourceNotFoundError:
            raise ApiFailure(404, f"this cluster serves no kind {wanted['kind']}") from None
        except (HTTPError, ApiException, DynamicApiError) as error:
            raise _failure(error) from None

    def request(self, method: str, path: str, query: dict | None = None, body: dict | None = None, content_type: str = "") -> dict:
        data = self._call(method, path, query, body, content_type).data
        return json.loads(data) if data else {}

    def text(self, path: str, query: dict | None = None) -> str:
        return self._call("GET", path, query).data.decode("utf-8", "replace")

    def http(self, path: str, timeout: float) -> tuple[int, str]:
        try:
            response = self._call("GET", path, timeout=timeout)
            return response.status, response.data.decode("utf-8", "replace")
        except ApiFailure as failure:
            if failure.status == 0:
                raise
            return failure.status, failure.message

    def watch(self, path: str, query: dict) -> Iterator[tuple[str, dict]]:
        response = self._call("GET", path, {**query, "watch": "true"}, preload=False)
        try:
            buffer = b""
            for chunk in response.stream(amt=None):
                buffer += chunk
                *lines, buffer = buffer.split(b"\n")
                for line in filter(None, lines):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise ApiFailure(event["object"].get("code", 500), event["object"].get("message", ""), event["object"])
                    yield event["type"], event["object"]
        except HTTPError as error:
            raise _failure(error) from None
        finally:
            response.release_conn()

    def exec(self, namespace: str, pod: str, container: str, argv: list[str], timeout: float, input: str | None) -> Result:
        started = time.monotonic()
        extra = {"container": container} if container else {}
        try:
            # a client of its own: stream() swaps the client's way of making requests while it connects, for other threads, too
            core = client.CoreV1Api(client.ApiClient(self._api.configuration))
            session = stream(
                core.connect_get_namespaced_pod_exec, pod, namespace, command=list(argv), stdin=input is not None,
                stdout=True, stderr=True, tty=False, _preload_content=False, **extra)
        except (ApiException, HTTPError, WebSocketException, OSError) as error:
            raise _failure(error) from None
        out, err = [], []
        try:
            if input is not None:
                for start in range(0, len(input), 32768):
                    session.write_stdin(input[start:start + 32768])
                session.close_channel(0)
            while session.is_open() and time.monotonic() - started < timeout:
                session.update(timeout=1)
                out.append(session.read_stdout(timeout=0) if session.peek_stdout() else "")
                err.append(session.read_stderr(timeout=0) if session.peek_stderr() else "")
            code = -1 if session.is_open() else session.returncode
        except (WebSocketException, OSError) as error:
            raise _failure(error) from None
        finally:
            session.close()
        text = [c.decode("utf-8", "replace") if isinstance(c, bytes) else c for c in ("".join(out), "".join(err))]
        return Result(tuple(argv), 0 if code is None else code, *text, seconds=time.monotonic() - started)

    def _call(self, method, path, query=None, body=None, content_type="", timeout: float = READ_SECONDS, preload=True):
        headers = {"Accept": "application/json", "Content-Type": content_type or "application/json"}
        request = self._api.param_serialize(
            method, path, query_params=list((query or {}).items()), header_params=headers, body=body, auth_settings=["BearerToken"])
        try:
            answer = self._api.call_api(*request, _request_timeout=(CONNECT_SECONDS, timeout if preload else None))
            response = answer.response
            if preload or not 200 <= response.status <= 299:
                answer.read()
        except (HTTPError, ApiException, OSError) as error:
            raise _failure(error) from None
        if not 200 <= response.status <= 299:
            raise _answer(response.status, response.data)
        return response


def _failure(error: Exception) -> ApiFailure:
    if isinstance(error, (ApiException, DynamicApiError)) and error.status:
        return _answer(error.status, error.body or str(error.reason).encode())
    text = str(getattr(error, "reason", None) or error)
    refused = HANDSHAKE.search(text)  # an exec that is refused: the answer stands in the text of the client's error
    if refused:
        return _answer(int(refused[1]), text.rpartition(" -+-+- ")[2])
    return ApiFailure(0, text)


def _answer(status: int, data: bytes | str) -> ApiFailure:
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    try:
        body = json.loads(text)
        return ApiFailure(status, body.get("message") or text, body)
    except (ValueError, AttributeError):
        return ApiFailure(status, text.strip() or f"HTTP {status}")
