"""Reading from the Kubernetes API, as a pod with its service account or through `kubectl proxy`.

A list is read page by page to its end, or not at all: what cannot be read, is not JSON or has
not the expected shape raises CheckError.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from shim.checks import inputs
from shim.checks.verdict import CheckError
from shim.commands import kubernetes

# Where the kubelet puts the token, the authority of the API server, and the namespace.
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
ALL = "*"
# An object is some 10 kB, and the pod's memory is small.
PAGE = 100
# An API server that starts or is overloaded says so, and is asked again.
RETRY = urllib3.Retry(
    total=3,
    redirect=0,
    status_forcelist=[429, 500, 502, 503, 504],
    backoff_factor=0.5,
    raise_on_redirect=False,
    raise_on_status=False,
)
TIMEOUT = urllib3.Timeout(connect=5, read=15)
SHOWN = 200

Item = dict[str, Any]
T = TypeVar("T")


class Resource(NamedTuple):
    """A kind of object: the path of its API group, its name there, and the kind of its list."""

    group: str
    plural: str
    kind: str


PODS = Resource("/api/v1", "pods", "PodList")
NODES = Resource("/api/v1", "nodes", "NodeList")
EVENTS = Resource("/api/v1", "events", "EventList")
SECRETS = Resource("/api/v1", "secrets", "SecretList")
QUOTAS = Resource("/api/v1", "resourcequotas", "ResourceQuotaList")
DEPLOYMENTS = Resource("/apis/apps/v1", "deployments", "DeploymentList")


class Api:
    """An API server; `own_namespace` is the pod's, None outside a pod."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        ca_file: str | None = None,
        own_namespace: str | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.own_namespace = own_namespace
        headers = {"Accept": "application/json", "User-Agent": "khshim"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._pool = urllib3.PoolManager(headers=headers, timeout=TIMEOUT, ca_certs=ca_file)

    def namespace(self, name: str) -> str | None:
        """Return the namespace that the variable `name` says, the pod's by default, None for all."""
        value = inputs.text(name, "a namespace, or * for all", self.own_namespace)
        if value != ALL and not kubernetes.is_label(value):
            raise inputs.wrong(name, "a namespace, or * for all")
        return None if value == ALL else value

    def list(self, resource: Resource, namespace: str | None, **query: str) -> Iterator[Item]:
        """Yield the objects of a resource in a namespace, or where there is none in all."""
        folder = f"namespaces/{quote(namespace, safe='')}/" if namespace else ""
        path = f"{resource.group}/{folder}{resource.plural}"
        query = {name: value for name, value in query.items() if value}
        following = ""
        while True:
            page = self._page(resource, namespace, path, {**query, "continue": following})
            for item in parts(page, "items"):
                part(item, str, "metadata", "name")
                yield item
            following = part(page, str, "metadata", "continue", default="")
            if not following:
                return

    def _page(
        self, resource: Resource, namespace: str | None, path: str, query: Mapping[str, str]
    ) -> Item:
        what = f"{resource.plural} {_where(resource, namespace)}"
        wanted = {"limit": str(PAGE), **{name: value for name, value in query.items() if value}}
        try:
            response = self._pool.request(
                "GET", f"{self.url}{path}?{urlencode(wanted)}", retries=RETRY
            )
            body = response.data
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise CheckError(
                f"The API server {self.url} could not be asked for {what}: {_reason(error)}"
            ) from None
        if response.status != 200:
            raise CheckError(self._refusal(response.status, body, resource, namespace, what))
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or answer.get("kind") != resource.kind:
            raise CheckError(
                f"The API server {self.url} answered with status 200 to the request for {what},"
                f" but not with a {resource.kind}: {_shown(body)}"
            )
        return answer

    def _refusal(
        self, status: int, body: bytes, resource: Resource, namespace: str | None, what: str
    ) -> str:
        message = _message(body)
        if status == 401:
            return (
                f"The API server {self.url} does not accept the token of the pod's service account"
                f" (status 401: {message})"
            )
        if status == 403:
            option = "--role" if namespace else "--cluster-role"
            return (
                f"The check has no right to list {what}: khshim manifest {option}"
                f" {resource.plural} gives it a role with get, list and watch"
                f" (status 403: {message})"
            )
        return (
            f"The API server {self.url} answered with status {status} to the request for {what}:"
            f" {message}"
        )


def connect(name: str) -> Api:
    """Return the API server that the variable `name` says, by default the pod's own."""
    if not inputs.is_set(name):
        return in_pod(os.environ)
    expected = "an address such as http://127.0.0.1:8001, where kubectl proxy listens"
    url = inputs.text(name, expected)
    try:
        parsed = urlsplit(url)
        # No token goes there, so that nothing is lost by the missing TLS.
        is_url = parsed.scheme == "http" and bool(parsed.hostname) and parsed.port != 0
    except ValueError:
        is_url = False
    if not is_url or parsed.query or parsed.fragment or not url.isprintable() or " " in url:
        raise inputs.wrong(name, expected)
    return Api(url)


def in_pod(environ: Mapping[str, str], folder: str = SERVICE_ACCOUNT) -> Api:
    """Return the API server of the cluster, with the pod's own rights."""
    host = environ.get("KUBERNETES_SERVICE_HOST")
    port = environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise CheckError(
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, so this is no pod:"
            " elsewhere start kubectl proxy and set KUBERNETES_API=http://127.0.0.1:8001"
        )
    ca_file = os.path.join(folder, "ca.crt")
    token, namespace = (_read(os.path.join(folder, name)) for name in ("token", "namespace"))
    _read(ca_file)
    address = f"[{host}]" if ":" in host else host
    return Api(f"https://{address}:{port}", token, ca_file, namespace)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            text = file.read().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not ASCII"
        text = ""
    else:
        reason = "empty"
    if not text:
        raise CheckError(
            f"The pod has no service account token: {path} cannot be read ({reason})."
            " khshim manifest --role or --cluster-role gives the check one"
        )
    return text


def part(item: Item, kind: type[T], *keys: str, default: T | None = None) -> T:
    """Return what an object has under the keys, one below the other, which must be of a kind.

    Where it is left out, as what is empty often is, that is the default, if there is one.
    """
    value: object = item
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        elif value is not None:
            break
    else:
        if value is None and default is not None:
            return default
        if isinstance(value, kind):
            return value
    raise CheckError(f"In the API server's answer {name_of(item)} has no right {'.'.join(keys)}")


def parts(item: Item, *keys: str) -> list[Item]:
    """Return the objects of a list that an object has, none where it is left out."""
    found: list[Item] = part(item, list, *keys, default=[])
    if not all(isinstance(one, dict) for one in found):
        raise CheckError(
            f"In the API server's answer {name_of(item)} has something else than objects in"
            f" {'.'.join(keys)}"
        )
    return found


def moment(item: Item, *keys: str) -> float:
    """Return the unix time of a timestamp that an object has."""
    text = part(item, str, *keys)
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        raise CheckError(
            f"In the API server's answer {name_of(item)} has '{text}' as {'.'.join(keys)}"
        ) from None


def name_of(item: Item) -> str:
    """Return the name of an object for people, with its namespace if it is in one."""
    metadata = item.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        return "the list" if "items" in item else "an object"
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def where(namespace: str | None, selector: str = "") -> str:
    """Return in words where objects were looked for."""
    place = f"in the namespace {namespace}" if namespace else "in all namespaces"
    return f"{place} with {selector}" if selector else place


def _where(resource: Resource, namespace: str | None) -> str:
    return "of the cluster" if resource is NODES else where(namespace)


def _message(body: bytes) -> str:
    """Return the message of a Status, else the beginning of what was answered."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    message = answer.get("message") if isinstance(answer, dict) else None
    return message if isinstance(message, str) and message else _shown(body)


def _shown(body: bytes) -> str:
    text = body[:SHOWN].decode(errors="replace").strip()
    return repr(text) if text else "nothing"


def _reason(error: Exception) -> str:
    """Return in words what urllib3 met, without the names of its objects."""
    cause: BaseException = error
    if isinstance(cause, urllib3.exceptions.MaxRetryError) and cause.reason is not None:
        cause = cause.reason
    # A refused connection is to urllib3 a kind of timeout.
    is_refused = isinstance(cause, urllib3.exceptions.NewConnectionError)
    if isinstance(cause, urllib3.exceptions.TimeoutError) and not is_refused:
        return "no answer in time"
    inner = cause.__cause__ or cause.__context__
    if isinstance(inner, OSError) and not isinstance(inner, TimeoutError):
        cause = inner
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(cause).rpartition(": ")[2] or type(cause).__name__
