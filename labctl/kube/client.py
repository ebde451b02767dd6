"""A small face on the official client: plain objects in and out, errors in labctl's own words.

The typed models of the `kubernetes` package are not used: labctl handles manifests, which are plain data. What the
package gives is authentication as kubectl does it (certificates, tokens, exec plugins, proxies) and connection reuse.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import urllib3
from kubernetes import config
from kubernetes.client.api_client import ApiClient
from kubernetes.client.exceptions import ApiException
from kubernetes.stream.ws_client import WSClient, get_websocket_url
from websocket import WebSocketBadStatusException, WebSocketException

from labctl.errors import ClusterError
from labctl.objects.manifests import Obj, describe

FIELD_MANAGER = "labctl"
"""Owner name of the fields that labctl applies."""


class ApiRefusedError(ClusterError):
    """The API server answered with an error Status.

    Attributes:
        code: HTTP status.
        reason: `metav1.StatusReason`, for example `NotFound`.
    """

    def __init__(self, message: str, *, code: int, reason: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ApiResource:
    """Where a kind is served: its path prefix, plural, and whether it lives in namespaces."""

    prefix: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """REST path of the collection, or of one object."""
        parts = [self.prefix]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        return "/".join(parts)


class KubeApi:
    """The API of one cluster. Not safe for several threads at once: make one per thread."""

    def __init__(self, kubeconfig: Path, context: str | None = None, *, timeout: float = 30.0) -> None:
        self._timeout = timeout
        self._resources: dict[str, dict[str, ApiResource]] = {}
        try:
            self._client = cast(ApiClient, config.new_client_from_config(config_file=str(kubeconfig), context=context))
        except (config.ConfigException, OSError) as error:
            raise ClusterError(
                f"cannot use kubeconfig {kubeconfig}: {error}", hint="check the path and the context name"
            ) from error
        self.server = str(self._client.configuration.host)

    @property
    def ca_file(self) -> Path | None:
        """The certificate of the server's authority, as a file that is there while labctl runs; None: the system's."""
        found = self._client.configuration.ssl_ca_cert
        return Path(found) if found else None

    def close(self) -> None:
        """Close the connections."""
        self._client.rest_client.pool_manager.clear()
        self._client.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> Any:
        """One request; returns the decoded JSON body.

        Raises:
            ApiRefusedError: The server answered with an error.
            ClusterError: The server could not be reached.
        """
        response = self._send(method, path, query, body, content_type, timeout or self._timeout)
        return json.loads(response) if response else None

    def text(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """The body of a GET that is no JSON, such as a pod's log. Raises as `request` does."""
        return self._send("GET", path, query, None, "application/json", self._timeout).decode(errors="replace")

    def chunks(self, path: str, query: Mapping[str, str] | None, *, read_timeout: float | None) -> Iterator[bytes]:
        """The body of a GET as it comes, until the server ends it.

        Args:
            path: REST path.
            query: Its query.
            read_timeout: Seconds of silence after which it ends; None waits for ever.

        Raises:
            ApiRefusedError: The server answered with an error.
            ClusterError: The server could not be reached, or the connection broke.
        """
        params = self._serialized("GET", path, query, None, "application/json")
        try:
            response = self._client.call_api(*params, _request_timeout=(self._timeout, read_timeout))
            if response.status >= 400:
                raise _refused(response.status, bytes(response.read() or b""), "GET", path)
            yield from response.response.stream(amt=None)
        except urllib3.exceptions.ReadTimeoutError:
            return
        except ApiException as error:
            raise _refused(error.status or 0, error.body, "GET", path) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self.unreachable(error) from error

    def websocket(self, path: str, query: Sequence[tuple[str, str]]) -> WSClient:
        """Open one of the API's streams (exec, attach) over a WebSocket.

        Raises:
            ApiRefusedError: The server refuses it.
            ClusterError: The server could not be reached.
        """
        _, url, headers, *_ = self._client.param_serialize(
            method="GET",
            resource_path=path,
            query_params=list(query),
            header_params={},
            auth_settings=["BearerToken"],
        )
        try:
            return WSClient(self._client.configuration, get_websocket_url(url), headers, False, binary=True)
        except WebSocketBadStatusException as error:
            raise _refused(error.status_code, error.resp_body, "GET", path) from error
        except (WebSocketException, OSError) as error:
            raise self.unreachable(error) from error

    def _serialized(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Any, content_type: str
    ) -> tuple[Any, Any, Any, Any, Any]:
        return self._client.param_serialize(
            method=method,
            resource_path=path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json, */*", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )

    def _send(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Any, content_type: str, timeout: float
    ) -> bytes:
        params = self._serialized(method, path, query, body, content_type)
        try:
            response = self._client.call_api(*params, _request_timeout=timeout)
            data = bytes(response.read() or b"")
        except ApiException as error:
            raise _refused(error.status or 0, error.body, method, path) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self.unreachable(error) from error
        if response.status >= 400:
            raise _refused(response.status, data, method, path)
        return data

    def unreachable(self, error: Exception) -> ClusterError:
        """What to say when the server, or a stream through it, cannot be reached."""
        cause = getattr(error, "reason", None) or error
        words = str(cause).rsplit(": ", 1)[-1]
        return ClusterError(
            f"cannot reach the API server {self.server}: {words}",
            hint="is the cluster up? `labctl status` tells, `labctl up` starts it",
        )

    def version(self) -> str:
        """The server's gitVersion."""
        return str(self.request("GET", "/version")["gitVersion"])

    def resource(self, api_version: str, kind: str) -> ApiResource:
        """Where the kind is served, from discovery (asked once per group and version).

        Raises:
            ApiRefusedError: The server does not serve it.
        """
        served = self._resources.get(api_version)
        if served is None:
            prefix = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
            try:
                found = self.request("GET", prefix)
            except ApiRefusedError as error:
                if error.code != 404:
                    raise
                found = {"resources": []}
            served = {
                item["kind"]: ApiResource(prefix, item["name"], bool(item["namespaced"]))
                for item in found["resources"]
                if "/" not in item["name"]
            }
            self._resources[api_version] = served
        if kind not in served:
            raise ApiRefusedError(
                f'no matches for kind "{kind}" in version "{api_version}": the API server does not serve it',
                code=404,
                reason="NotFound",
                hint=_MOVED.get((api_version, kind), ""),
            )
        return served[kind]

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Obj | None:
        """The object, or None."""
        try:
            return cast(Obj, self.request("GET", self.resource(api_version, kind).path(namespace, name)))
        except ApiRefusedError as error:
            if error.code == 404:
                return None
            raise

    def list(
        self, api_version: str, kind: str, namespace: str = "", *, selector: str = "", field_selector: str = ""
    ) -> list[Obj]:
        """All objects of a kind, with apiVersion and kind filled in."""
        chosen = {"labelSelector": selector, "fieldSelector": field_selector}
        query = {"limit": "500"} | {key: value for key, value in chosen.items() if value}
        return list(self._pages(self.resource(api_version, kind).path(namespace), api_version, kind, query))

    def _pages(self, path: str, api_version: str, kind: str, query: dict[str, str]) -> Iterator[Obj]:
        while True:
            page = self.request("GET", path, query=query)
            for item in page.get("items") or []:
                yield {"apiVersion": api_version, "kind": kind, **item}
            token = page.get("metadata", {}).get("continue")
            if not token:
                return
            query = query | {"continue": token}

    def apply(self, obj: Obj, *, owner: str = "", dry_run: bool = False) -> Obj:
        """Server-side apply, taking over fields that others own.

        Args:
            obj: The object, as far as it is to be decided.
            owner: Applies as field manager `labctl-OWNER` instead of `labctl`: two owners can then share an object,
                each with labels of its own.
            dry_run: Ask only what would come out.

        Raises:
            ApiRefusedError: The server refuses the object; the message names it.
        """
        metadata = obj["metadata"]
        manager = f"{FIELD_MANAGER}-{owner}" if owner else FIELD_MANAGER
        query = {"fieldManager": manager, "force": "true"} | ({"dryRun": "All"} if dry_run else {})
        try:
            resource = self.resource(obj["apiVersion"], obj["kind"])
            path = resource.path(metadata.get("namespace", ""), metadata["name"])
            return cast(
                Obj, self.request("PATCH", path, query=query, body=obj, content_type="application/apply-patch+yaml")
            )
        except ApiRefusedError as error:
            raise ApiRefusedError(
                f"the API server refuses {describe(obj)}: {error.message}",
                code=error.code,
                reason=error.reason,
                hint=error.hint,
            ) from error

    def merge_patch(self, api_version: str, kind: str, namespace: str, name: str, patch: Mapping[str, Any]) -> Obj:
        """JSON merge patch of one object."""
        path = self.resource(api_version, kind).path(namespace, name)
        return cast(
            Obj,
            self.request(
                "PATCH",
                path,
                query={"fieldManager": FIELD_MANAGER},
                body=patch,
                content_type="application/merge-patch+json",
            ),
        )

    def delete(self, obj: Obj, *, propagation: str = "Background", grace: int | None = None) -> bool:
        """Delete an object; False when it was not there. `grace`: seconds its containers get to end."""
        metadata = obj["metadata"]
        options = {"propagationPolicy": propagation} | ({} if grace is None else {"gracePeriodSeconds": grace})
        try:
            path = self.resource(obj["apiVersion"], obj["kind"]).path(metadata.get("namespace", ""), metadata["name"])
            self.request("DELETE", path, body=options)
        except ApiRefusedError as error:
            if error.code == 404:
                return False
            raise
        return True


_MOVED = {
    ("extensions/v1beta1", "Ingress"): "Ingress moved: write apiVersion networking.k8s.io/v1, backend.service.name and "
    "backend.service.port.number instead of serviceName and servicePort, and a pathType for each path",
    ("networking.k8s.io/v1beta1", "Ingress"): "Ingress moved: write apiVersion networking.k8s.io/v1 and a pathType for "
    "each path",
    ("extensions/v1beta1", "Deployment"): "Deployment moved: write apiVersion apps/v1 and a spec.selector",
}
"""What to write instead of what was removed (Kubernetes' deprecation guide, v1.16 and v1.22)."""


def _refused(code: int, body: str | bytes | None, method: str, path: str) -> ApiRefusedError:
    text = body.decode(errors="replace") if isinstance(body, bytes) else (body or "")
    reason, message = "", text.strip()[:500]
    try:
        status = json.loads(text)
        if isinstance(status, dict) and status.get("kind") == "Status":
            reason, message = status.get("reason", ""), status.get("message", "")
    except ValueError:
        pass
    hints = {401: "the credentials in the kubeconfig are not accepted", 403: "the user lacks a permission (RBAC)"}
    return ApiRefusedError(
        message or f"{method} {path} was answered with {code}", code=code, reason=reason, hint=hints.get(code, "")
    )
