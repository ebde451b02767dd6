import pytest

from labctl.embedded.api.gojson import GoJsonError, decode, decode_with_duplicates
from labctl.embedded.api.protobuf.decoder import decode_object
from tests.unit.embedded_api.server import CONFIG_MAPS, DEPLOYMENTS, PODS, Server, deployment, pod

TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}


def _maps(server: Server, count: int) -> None:
    for number in range(count):
        server.post(CONFIG_MAPS, {"metadata": {"name": f"c{number:02}", "labels": {"n": str(number % 2)}}})


def test_an_object_is_created_read_changed_and_deleted(server: Server) -> None:
    created = server.post(CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"a": "1"}})
    assert created.status == 201
    assert created.text.startswith('{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c","namespace":"default"')
    assert created.text.endswith("}\n")
    assert server.get(f"{CONFIG_MAPS}/c").text == created.text
    changed = server.put(f"{CONFIG_MAPS}/c", created.json | {"data": {"a": "2"}})
    assert changed.json["data"] == {"a": "2"}
    deleted = server.delete(f"{CONFIG_MAPS}/c").json
    assert deleted["status"] == "Success"
    assert deleted["details"] == {"name": "c", "kind": "configmaps", "uid": created.json["metadata"]["uid"]}
    assert server.get(f"{CONFIG_MAPS}/c").status == 404


def test_lists_hold_items_without_kind_and_the_revision(server: Server) -> None:
    _maps(server, 2)
    answer = server.get(CONFIG_MAPS)
    assert answer.text.startswith('{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"')
    assert "kind" not in answer.json["items"][0]
    assert answer.json["metadata"]["resourceVersion"] == str(server.registry.store.revision)
    assert [item["metadata"]["name"] for item in server.get(f"{CONFIG_MAPS}?labelSelector=n%3D1").json["items"]] == [
        "c01"
    ]
    assert len(server.get(f"{CONFIG_MAPS}?fieldSelector=metadata.name%3Dc00").json["items"]) == 1


def test_pages_of_a_list_fit_together_whatever_is_written_meanwhile(server: Server) -> None:
    _maps(server, 5)
    first = server.get(f"{CONFIG_MAPS}?limit=2").json
    assert first["metadata"]["remainingItemCount"] == 3
    server.delete(f"{CONFIG_MAPS}/c02")
    server.post(CONFIG_MAPS, {"metadata": {"name": "c03a"}})
    server.patch(f"{CONFIG_MAPS}/c04", {"data": {"late": "x"}})
    token = first["metadata"]["continue"]
    rest = server.get(f"{CONFIG_MAPS}?limit=9&continue={token}").json
    assert [item["metadata"]["name"] for item in first["items"] + rest["items"]] == ["c00", "c01", "c02", "c03", "c04"]
    assert "data" not in rest["items"][-1]
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("continue=abc", 400, "invalid continue token: continue key is not valid: invalid character 'i' looking for"),
        ("limit=x", 400, 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("resourceVersion=abc", 400, "invalid resource version: resourceVersion: Invalid value"),
        ("labelSelector=a+in+b", 400, "unable to parse requirement: found 'b' expected: '('"),
        ("resourceVersion=999999", 504, "Too large resource version: 999999, current"),
        ("resourceVersionMatch=Exact", 422, "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        ("sendInitialEvents=true", 422, "sendInitialEvents is forbidden for list"),
    ],
)
def test_wrong_list_options_are_refused(server: Server, query: str, status: int, message: str) -> None:
    answer = server.get(f"{CONFIG_MAPS}?{query}")
    assert answer.status == status
    assert message in answer.message


def test_tables_and_partial_objects_are_made_on_request(server: Server) -> None:
    server.post(PODS, pod())
    server.time.pass_(90)
    table = server.get(PODS, headers=TABLE).json
    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]][:3] == ["Name", "Ready", "Status"]
    assert table["rows"][0]["cells"][:5] == ["p", "0/1", "Pending", "0", "90s"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert server.get(f"{PODS}?includeObject=None", headers=TABLE).json["rows"][0]["object"] is None
    accept = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
    assert "spec" not in server.get(PODS, headers=accept).json["items"][0]


def test_yaml_and_pretty_json_are_written_for_people(server: Server) -> None:
    server.post(CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"a": "yes", "b": "x\ny\n"}})
    text = server.get(f"{CONFIG_MAPS}/c", headers={"Accept": "application/yaml"}).text
    assert text.startswith('apiVersion: v1\ndata:\n  a: "yes"\n  b: |\n    x\n    y\nkind: ConfigMap\n')
    assert server.get(f"{CONFIG_MAPS}/c", headers={"User-Agent": "curl/8"}).text.startswith(
        '{\n  "kind": "ConfigMap",\n'
    )
    assert server.get(f"{CONFIG_MAPS}/c?pretty=false", headers={"User-Agent": "curl/8"}).text.startswith('{"kind"')


def test_bodies_may_be_yaml_or_protobuf(server: Server) -> None:
    text = b"metadata:\n  name: y\ndata:\n  day: 2026-01-01\n"
    headers = {"Content-Type": "application/yaml"}
    assert server.post(CONFIG_MAPS, text, headers=headers).json["data"] == {"day": "2026-01-01"}
    # `kubectl create configmap c1 --from-literal=a=b` of a 1.32.
    metadata = b"\x0a\x02c1\x12\x00\x1a\x07default\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00"
    raw = b"\x0a" + bytes([len(metadata)]) + metadata + b"\x12\x06\x0a\x01a\x12\x01b"
    envelope = b"\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12" + bytes([len(raw)]) + raw
    body = b"k8s\x00" + envelope
    assert decode_object(body)["data"] == {"a": "b"}
    created = server.post(CONFIG_MAPS, body, headers={"Content-Type": "application/vnd.kubernetes.protobuf"})
    assert (created.status, created.json["data"]) == (201, {"a": "b"})


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"),
    [
        (b"{bad", "application/json", 400, "invalid character 'b' looking for beginning of object key string ({bad)"),
        (
            b"",
            "application/json",
            400,
            "the object provided is unrecognized (must be of type ConfigMap): EOF (<empty>)",
        ),
        (b"x", "text/plain", 415, "the body of the request was in an unknown format"),
        (
            b'{"kind":"Secret","apiVersion":"v1"}',
            "",
            400,
            "converting (v1.Secret) to (core.ConfigMap): unknown conversion",
        ),
        (b'{"kind":"ConfigMap","apiVersion":"v2"}', "", 400, "the API version in the data (v2) does not match"),
        (b'{"data":{"a":1}}', "", 400, "cannot unmarshal number into Go struct field ConfigMap.data of type string"),
        (b"k8s\x00\xff\xff", "application/vnd.kubernetes.protobuf", 400, "unexpected EOF"),
        (b" " * (3 * 1024 * 1024 + 1), "", 413, "Request entity too large: limit is 3145728"),
    ],
)
def test_bodies_that_cannot_be_read_are_refused(
    server: Server, body: bytes, kind: str, status: int, message: str
) -> None:
    answer = server.post(CONFIG_MAPS, body, headers={"Content-Type": kind or "application/json"})
    assert answer.status == status
    assert message in answer.message


def test_unknown_and_duplicate_fields_are_refused_warned_of_or_ignored(server: Server) -> None:
    body = b'{"metadata":{"name":"w"},"data":{"a":"1","a":"2"},"nope":{}}'
    strict = server.post(f"{CONFIG_MAPS}?fieldValidation=Strict", body)
    assert strict.status == 400
    assert 'strict decoding error: duplicate field "data.a", unknown field "nope"' in strict.message
    warned = server.post(f"{CONFIG_MAPS}?dryRun=All", body)
    values = [value for name, value in warned.response.headers if name == "Warning"]
    assert values == ['299 - "duplicate field \\"data.a\\""', '299 - "unknown field \\"nope\\""']
    assert "Warning" not in server.post(f"{CONFIG_MAPS}?fieldValidation=Ignore", body).headers


def test_a_dry_run_stores_nothing(server: Server) -> None:
    answer = server.post(f"{CONFIG_MAPS}?dryRun=All", {"metadata": {"name": "c"}})
    assert answer.status == 201
    assert "resourceVersion" not in answer.json["metadata"]
    assert server.get(f"{CONFIG_MAPS}/c").status == 404
    server.post(DEPLOYMENTS, deployment())
    patched = server.patch(f"{DEPLOYMENTS}/web?dryRun=All", {"spec": {"replicas": 9}})
    assert patched.json["spec"]["replicas"] == 9
    assert server.get(f"{DEPLOYMENTS}/web").json["spec"]["replicas"] == 2
    server.delete(f"{DEPLOYMENTS}/web?dryRun=All")
    assert server.get(f"{DEPLOYMENTS}/web").status == 200


def test_patches_of_all_kinds_change_an_object(server: Server) -> None:
    server.post(DEPLOYMENTS, deployment())
    target = f"{DEPLOYMENTS}/web"
    assert server.patch(target, {"spec": {"replicas": 3}}).json["spec"]["replicas"] == 3
    assert server.patch(target, {"metadata": {"labels": {"a": "b"}}}, "merge-patch+json").json["metadata"]["labels"]
    operations = [{"op": "replace", "path": "/spec/replicas", "value": 4}]
    assert server.patch(target, operations, "json-patch+json").json["spec"]["replicas"] == 4
    assert server.patch(f"{target}/scale", {"spec": {"replicas": 5}}, "merge-patch+json").json["kind"] == "Scale"
    assert server.get(f"{target}/scale").json["spec"] == {"replicas": 5}
    assert server.get(f"{target}/scale", headers=TABLE).json["rows"][0]["cells"] == ["web", 5, 0, "0s"]


@pytest.mark.parametrize(
    ("patch", "kind", "status", "message"),
    [
        ({}, "nope", 415, "415: Unsupported Media Type"),
        (b"{bad", "strategic-merge-patch+json", 400, "invalid character 'b' looking for beginning of object key"),
        ({"a": 1}, "json-patch+json", 400, "cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        ([{"op": "remove", "path": "/nope"}], "json-patch+json", 422, "the server rejected our request"),
        ({"metadata": {"name": "z"}}, "merge-patch+json", 400, "does not match the name on the URL (web)"),
        ({"metadata": {"resourceVersion": "1"}}, "merge-patch+json", 409, "the object has been modified"),
        ({"spec": {"replicas": "x"}}, "strategic-merge-patch+json", 422, "unrecognized type: int32"),
    ],
)
def test_wrong_patches_are_refused(server: Server, patch: object, kind: str, status: int, message: str) -> None:
    server.post(DEPLOYMENTS, deployment())
    answer = server.patch(f"{DEPLOYMENTS}/web", patch, kind)
    assert answer.status == status
    assert message in answer.message


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("DELETE", "/api/v1/namespaces", 405),
        ("POST", f"{CONFIG_MAPS}/c", 405),
        ("PUT", CONFIG_MAPS, 405),
        ("OPTIONS", "/api/v1/namespaces", 405),
        ("GET", "/api/v1/namespaces/default/nosuch", 404),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("GET", "/apis/nope.example.com/v1/things", 404),
        ("GET", "/nosuch", 404),
        ("GET", "/api/v1/../../etc/passwd", 404),
        ("GET", f"{PODS}/p/nope", 404),
    ],
)
def test_paths_and_methods_that_are_not_served(server: Server, method: str, target: str, status: int) -> None:
    assert server.request(method, target).status == status


def test_what_cannot_be_represented_is_refused(server: Server) -> None:
    answer = server.get(CONFIG_MAPS, headers={"Accept": "text/html"})
    assert answer.status == 406
    assert "Available representations: application/json, application/yaml" in answer.message


def test_a_collection_is_deleted_as_selected(server: Server) -> None:
    _maps(server, 4)
    deleted = server.delete(f"{CONFIG_MAPS}?labelSelector=n%3D0").json
    assert [item["metadata"]["name"] for item in deleted["items"]] == ["c00", "c02"]
    left = server.get(CONFIG_MAPS).json["items"]
    assert [item["metadata"]["name"] for item in left if item["metadata"]["name"].startswith("c")] == ["c01", "c03"]


def test_deprecated_resources_say_so(server: Server) -> None:
    answer = server.get("/api/v1/namespaces/default/endpoints")
    assert answer.headers["Warning"] == (
        '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'
    )


def test_events_are_the_same_in_both_groups(server: Server) -> None:
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "reason": "R",
        "message": "said",
        "type": "Normal",
    }
    assert server.post("/api/v1/namespaces/default/events", event).status == 201
    new = server.get("/apis/events.k8s.io/v1/namespaces/default/events/e").json
    assert (new["apiVersion"], new["note"], new["regarding"]["name"]) == ("events.k8s.io/v1", "said", "p")


def test_a_pod_is_bound_and_evicted(server: Server) -> None:
    server.post(PODS, pod())
    wrong = server.post(f"{PODS}/p/binding", {"target": {"kind": "Node", "name": "w1"}})
    assert wrong.message == "name in URL does not match name in Binding object"
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "w1"}}
    assert server.post(f"{PODS}/p/binding", binding).status == 201
    assert server.get(f"{PODS}/p").json["spec"]["nodeName"] == "w1"
    assert server.post(f"{PODS}/p/eviction", {"metadata": {"name": "p"}}).status == 201
    assert server.get(f"{PODS}/p").json["metadata"]["deletionGracePeriodSeconds"] == 30


@pytest.mark.parametrize(
    ("subresource", "body", "problem"),
    [
        (
            "binding",
            {"metadata": "x"},
            "string into Go struct field Binding.metadata of type v1.ObjectMeta",
        ),
        (
            "eviction",
            {"deleteOptions": {"preconditions": []}},
            "array into Go struct field DeleteOptions.deleteOptions.preconditions of type v1.Preconditions",
        ),
    ],
)
def test_what_is_no_binding_or_eviction_is_refused(
    server: Server, subresource: str, body: object, problem: str
) -> None:
    server.post(PODS, pod())
    refused = server.post(f"{PODS}/p/{subresource}", body)
    kind = subresource.capitalize()
    said = f'{kind} in version "v1" cannot be handled as a {kind}: json: cannot unmarshal {problem}'
    assert (refused.status, refused.message) == (400, said)


def test_delete_options_of_a_wrong_type_are_refused(server: Server) -> None:
    server.post(PODS, pod())
    refused = server.delete(f"{PODS}/p", {"preconditions": "x"})
    assert refused.status == 400
    assert refused.message.endswith("Go struct field DeleteOptions.preconditions of type v1.Preconditions")
    assert server.get(f"{PODS}/p").status == 200


def test_what_is_null_or_has_no_name_is_no_fault_of_the_server(server: Server) -> None:
    assert server.post(CONFIG_MAPS, {"metadata": {"name": "c"}, "binaryData": {"a": None}}).status == 201
    node = {"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": None}}}
    assert server.post("/api/v1/nodes", node).json["status"]["allocatable"] == {"cpu": "0"}
    account = server.get("/api/v1/namespaces/default/serviceaccounts/default").json
    server.put("/api/v1/namespaces/default/serviceaccounts/default", account | {"imagePullSecrets": [{}]})
    assert server.post(PODS, pod()).status == 201
    definition = {
        "metadata": {"name": "webs.a.b"},
        "spec": {
            "group": "a.b",
            "names": {"plural": "webs", "kind": "Web"},
            "scope": "Namespaced",
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
            ],
        },
        "status": {"conditions": None},
    }
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert server.post(definitions, definition).status == 201
    assert server.delete(definitions).status == 200


def test_go_names_what_is_wrong_with_json() -> None:
    cases = {
        b'{"a" 1}': "invalid character '1' after object key",
        b'{"a":1': "unexpected end of JSON input",
        b"[1,]": "invalid character ']' looking for beginning of value",
        b"nul": "unexpected end of JSON input",
        b"1 2": "invalid character '2' after top-level value",
        b'"\x01"': "invalid character '\\u0001' in string literal",
        b"01": "invalid character '1' after top-level value",
        b"NaN": "invalid character 'N' looking for beginning of value",
    }
    for data, words in cases.items():
        with pytest.raises(GoJsonError) as caught:
            decode(data)
        assert str(caught.value) == words
    assert decode_with_duplicates(b'{"a":[{"b":1,"b":2}]}') == ({"a": [{"b": 2}]}, ["a[0].b"])


def test_discovery_openapi_version_and_health_answer(server: Server) -> None:
    assert server.get("/api").json["versions"] == ["v1"]
    names = [resource["name"] for resource in server.get("/api/v1").json["resources"]]
    assert {"pods", "pods/log", "services"} <= set(names)
    assert server.get("/apis/apps").json["preferredVersion"]["groupVersion"] == "apps/v1"
    kind = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    aggregated = server.get("/apis", headers={"Accept": kind})
    assert aggregated.json["kind"] == "APIGroupDiscoveryList"
    again = server.respond("GET", "/apis", headers={"Accept": kind, "If-None-Match": aggregated.headers["Etag"]})
    assert again.status == 304
    assert server.get("/version").json["gitVersion"] == "v1.34.4+k3s1"
    assert server.get("/readyz").text == "ok"
    assert server.get("/livez?verbose").text.endswith("livez check passed\n")
    assert "apis/apps/v1" in server.get("/openapi/v3").json["paths"]
    assert "/apis/apps/v1/namespaces/{namespace}/deployments" in server.get("/openapi/v3/apis/apps/v1").json["paths"]
    assert "/healthz" in server.get("/").json["paths"]
    proto = {"Accept": "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"}
    document = server.respond("GET", "/openapi/v2", headers=proto)
    assert isinstance(document.body, bytes)
    assert document.body.startswith(b"\x0a\x032.0")
    assert server.get("/openapi/v2").json["swagger"] == "2.0"


def test_component_statuses_are_made_up(server: Server) -> None:
    found = server.get("/api/v1/componentstatuses").json["items"]
    assert [item["metadata"]["name"] for item in found] == ["scheduler", "controller-manager", "etcd-0"]
    assert server.get("/api/v1/componentstatuses/etcd-0").json["conditions"][0]["type"] == "Healthy"
    assert server.get("/api/v1/componentstatuses/other").status == 404


def test_head_is_for_no_resource(server: Server) -> None:
    assert server.request("HEAD", "/api/v1/namespaces").status == 405
    assert server.request("HEAD", "/version").status == 200


def test_debug_containers_are_added_to_a_running_pod_and_nothing_else_changes(server: Server) -> None:
    spec = {"containers": [{"name": "c", "image": "nginx"}]}
    assert server.post("/api/v1/namespaces/default/pods", {"metadata": {"name": "p"}, "spec": spec}).status == 201
    patch = {"spec": {"ephemeralContainers": [{"name": "dbg", "image": "busybox"}], "nodeName": "elsewhere"}}
    answer = server.patch("/api/v1/namespaces/default/pods/p/ephemeralcontainers", patch)
    assert answer.status == 200, answer.text
    assert answer.json["spec"]["ephemeralContainers"][0]["name"] == "dbg"
    assert answer.json["metadata"]["generation"] == 2
    assert "nodeName" not in answer.json["spec"]
    assert server.patch("/api/v1/namespaces/default/pods/p", {"spec": patch["spec"]}).status == 422
