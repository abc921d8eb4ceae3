"""What callers send and get, by both protocols."""

import gzip
import json
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from models.columns import KINDS
from tasks.serving.limits import Limits
from tests.tasks.scoring.test_rows import picture
from tests.tasks.serving.asking import asking
from tests.tasks.serving.versions import write_classifier, write_version

ROW = {"load": 4, "shop": "north"}
SMALL = Limits(body_bytes=2000, rows=5)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    write_version(tmp_path / "by-hand", factor=0.5)
    write_classifier(tmp_path / "sorted")
    packages = {"by hand/é".replace("/", " "): tmp_path / "by-hand", "sorted": tmp_path / "sorted"}
    with asking(tmp_path, packages, SMALL) as client:
        yield client


def predict(client: TestClient, *rows: Any, model: str = "by hand é", **more: Any) -> Any:
    return client.post(f"/models/{model}/predict", json={"rows": list(rows), **more})


def test_rows_are_answered_in_their_order(client: TestClient) -> None:
    reply = predict(client, ROW, ROW | {"load": -3, "more": 1}, ROW | {"load": None})
    assert reply.status_code == 200
    told = reply.json()
    assert [answer["value"] for answer in told["predictions"]] == [2, -1.5, 0]
    assert (told["model"], told["version"]) == ("by hand é", "1")
    assert told["request_id"] == reply.headers["x-request-id"] and len(told["request_id"]) == 32


def test_classes_have_a_label_and_probabilities(client: TestClient) -> None:
    found = predict(client, {"load": 1}, {"load": -1}, model="sorted").json()["predictions"]
    assert found == [
        {"label": "high", "probability": 0.75, "probabilities": {"low": 0.25, "high": 0.75}},
        {"label": "low", "probability": 0.75, "probabilities": {"low": 0.75, "high": 0.25}},
    ]


def test_a_request_keeps_the_id_that_it_came_with(client: TestClient) -> None:
    reply = client.post("/models/sorted/predict", json={"rows": [{"load": 1}]}, headers={"X-Request-ID": "mine-1"})
    assert reply.json()["request_id"] == reply.headers["x-request-id"] == "mine-1"
    odd = client.post("/models/sorted/predict", json={"rows": []}, headers={"X-Request-ID": "a b\t" + "c" * 500})
    assert len(odd.json()["request_id"]) == 32 and odd.json()["predictions"] == []


def test_wrong_cells_are_named(client: TestClient) -> None:
    reply = predict(client, ROW, ROW | {"load": 51, "shop": "x" * 21})
    assert reply.status_code == 422
    told = reply.json()
    assert told["findings"] == [
        {"column": "load", "reason": "out of range", "row": 2},
        {"column": "shop", "reason": "too long", "row": 2},
    ]
    assert told["error"] == "'load', row 2: out of range; 'shop', row 2: too long"


BAD = {
    "nothing": b"", "no JSON": b"{", "a list": b"[]", "null": b"null", "NaN": b'{"rows": [{"load": NaN}]}',
    "infinity": b'{"rows": [{"load": 1e999}]}', "deep": b"[" * 400, "no UTF-8": b'{"rows": [{"\xff": 1}]}',
    "half a pair": b'{"rows": [{"load": "\\ud800"}]}', "rows of numbers": b'{"rows": [1]}',
    "another key": b'{"rows": [], "x": 1}', "endpoint": b'{"rows": [], "endpoint": 5}',
    "too many rows": json.dumps({"rows": [{}] * 6}).encode(),
}  # fmt: skip


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("path", ["/models/sorted/predict", "/v2/models/sorted/infer"])
def test_what_is_no_request_is_refused_in_one_line(client: TestClient, path: str, body: bytes) -> None:
    reply = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 400
    assert reply.json()["error"].count("\n") == 0 and len(reply.json()["error"]) < 300


def test_bodies_have_a_size_packed_or_not(client: TestClient) -> None:
    large = json.dumps({"rows": [{"load": 1, "said": "x" * 3000}]}).encode()
    packed = {"Content-Encoding": "gzip"}
    for content, headers in ((large, {}), (gzip.compress(large), packed), (gzip.compress(b"0" * (1 << 26)), packed)):
        assert client.post("/models/sorted/predict", content=content, headers=headers).status_code == 413
    small = json.dumps({"rows": [{"load": 1}]}).encode()
    deflated = {"Content-Encoding": "deflate"}
    assert client.post("/models/sorted/predict", content=gzip.compress(small), headers=packed).status_code == 200
    assert client.post("/models/sorted/predict", content=zlib.compress(small), headers=deflated).status_code == 200
    assert client.post("/models/sorted/predict", content=gzip.compress(small)[:-8], headers=packed).status_code == 400
    assert client.post("/models/sorted/predict", content=b"xx", headers=packed).status_code == 400
    assert client.post("/models/sorted/predict", content=small, headers={"Content-Encoding": "br"}).status_code == 415


def test_other_content_and_other_places_are_refused(client: TestClient) -> None:
    assert client.post("/models/sorted/predict", content=b"x", headers={"Content-Type": "text/csv"}).status_code == 415
    for path in ("/models/none/predict", "/models/a/b/predict", "/models//predict", "/nothing", "/v2/models/none"):
        reply = client.post(path, json={}) if path.endswith("predict") else client.get(path)
        assert reply.status_code == 404 and "error" in reply.json(), path
    assert client.get("/models/sorted/predict").status_code == 405


def tensor(name: str, data: list[Any], shape: list[int] | None = None, datatype: str = "FP64") -> dict[str, Any]:
    return {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": data}


def infer(client: TestClient, *inputs: Any, model: str = "sorted", **more: Any) -> Any:
    return client.post(f"/v2/models/{model}/infer", json={"inputs": list(inputs), **more})


def test_the_open_inference_protocol(client: TestClient) -> None:
    told = infer(client, tensor("load", [[1], [-1]], [2, 1]), id="a").json()
    assert told == {
        "model_name": "sorted", "model_version": "1", "id": "a",
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["high", "low"]},
            {"name": "probabilities", "datatype": "FP32", "shape": [2, 2], "data": [0.25, 0.75, 0.75, 0.25]},
        ],
    }  # fmt: skip
    only = infer(client, tensor("load", [1]), outputs=[{"name": "label"}]).json()
    assert [output["name"] for output in only["outputs"]] == ["label"]
    for odd in ({}, None, 5):
        assert '"id" is a text' in infer(client, tensor("load", [], [0, 1]), id=odd).json()["error"]
    versioned = client.post("/v2/models/sorted/versions/1/infer", json={"inputs": [tensor("load", [1])]})
    assert versioned.status_code == 200
    assert client.post("/v2/models/sorted/versions/2/infer", json={"inputs": [tensor("load", [1])]}).status_code == 404


def test_the_protocols_answer_alike(client: TestClient) -> None:
    loads = [-7.25, 3, None]
    rows = [{"load": load, "shop": None} for load in loads]
    plain = [answer["value"] for answer in predict(client, *rows).json()["predictions"]]
    shops = tensor("shop", [None] * 3, datatype="BYTES")
    [output] = infer(client, tensor("load", loads), shops, model="by hand é").json()["outputs"]
    assert output == {"name": "value", "datatype": "FP32", "shape": [3], "data": plain} and plain[0] == -3.625


@pytest.mark.parametrize(
    "inputs, status, said",
    [
        ([], 400, "inputs"),
        ([{}], 400, "input 1 has no name"),
        ([tensor("load", [1], [-1])], 400, "shape"),
        ([tensor("load", [1], [10**18])], 400, "1 values"),
        ([tensor("load", [[1, 2, 3]], [1, 1])], 400, "more than the 1 values"),
        ([tensor("load", [1]), tensor("more", [], [1, 0])], 200, ""),
        ([tensor("load", [1]), tensor("more", [[1, 2]], [1, 2])], 200, ""),
        ([tensor("load", [1], [1, 3])], 400, "shape [1, 3]"),
        ([tensor("unknown", [], [2**64 - 1])], 400, "shape is a list of whole numbers"),
        ([tensor("unknown", [], [2**63 - 1])], 400, "rows are more than"),
        ([tensor("load", [[[1]]], [1])], 400, "nested deeper"),
        ([tensor("load", [1], datatype="FP8")], 400, "no such datatype 'FP8'"),
        ([tensor("load", [1]), tensor("load", [1])], 400, "given 2 times"),
        ([tensor("load", [1]), tensor("more", [1, 2])], 400, "one number of rows"),
        ([tensor("lode", [1])], 422, "did you mean it by 'lode'?"),
        ([tensor("load", ["much"], datatype="BYTES")], 422, "'load', row 1: wrong type"),
    ],
    ids=str,
)
def test_wrong_tensors_are_named(client: TestClient, inputs: list[Any], status: int, said: str) -> None:
    reply = infer(client, *inputs)
    assert reply.status_code == status and said in reply.json().get("error", "")


def test_the_server_tells_what_it_serves(client: TestClient) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/sorted/ready").json() == {"name": "sorted", "ready": True}
    assert client.get("/v2").json()["name"] == "perennial"
    assert client.get("/v2/models/sorted").json() == {
        "name": "sorted", "versions": ["1"], "platform": "onnxruntime_onnx",
        "inputs": [{"name": "load", "datatype": "FP64", "shape": [-1]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
        ],
    }  # fmt: skip


def test_the_document_tells_columns_limits_and_examples(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    post = described["paths"]["/models/by%20hand%20%C3%A9/predict"]["post"]
    content = post["requestBody"]["content"]["application/json"]
    items = content["schema"]["properties"]["rows"]
    assert items["maxItems"] == 5 and items["items"]["required"] == ["load", "shop"]
    load = items["items"]["properties"]["load"]
    assert (load["minimum"], load["maximum"]) == (-50, 50) and load["type"] == ["number", "string", "boolean", "null"]
    assert predict(client, *content["example"]["rows"]).status_code == 200


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    reply = client.get("/")
    assert "default-src 'none'" in reply.headers["content-security-policy"] and "http" not in reply.text


def test_without_its_token_nothing_is_told(tmp_path: Path) -> None:
    write_classifier(tmp_path / "sorted")
    with asking(tmp_path, {"sorted": tmp_path / "sorted"}, token="söcret") as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic söcret".encode()}):
            for path in ("/openapi.json", "/metrics", "/v2", "/v2/models/sorted", "/nothing"):
                refused = client.get(path, headers=headers)
                assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
            assert client.post("/models/sorted/predict", json={"rows": []}, headers=headers).status_code == 401
        assert client.get("/v2/health/ready").status_code == client.get("/").status_code == 200
        bearing = {"Authorization": "bearer söcret".encode()}
        assert client.post("/models/sorted/predict", json={"rows": [{"load": 1}]}, headers=bearing).status_code == 200


def test_lists_and_objects_without_end_are_refused_before_they_are_parsed(tmp_path: Path) -> None:
    write_classifier(tmp_path / "sorted")
    with asking(tmp_path, {"sorted": tmp_path / "sorted"}, Limits(rows=10)) as client:
        many = b'{"rows": [' + b"{}," * 1001 + b"{}]}"
        reply = client.post("/models/sorted/predict", content=many)
        assert reply.status_code == 413 and "1,000 lists and objects" in reply.json()["error"]
        named = {f"{number}": 1 for number in range(3000)}
        began = time.monotonic()
        nested = [{"load": {f"{row} {key}": 1 for key in named}} for row in range(10)]
        reply = predict(client, *nested, model="sorted")
        assert reply.status_code == 422 and len(reply.json()["findings"]) == 10 and time.monotonic() - began < 5


def test_what_a_caller_says_is_repeated_in_part(client: TestClient) -> None:
    reply = client.post("/models/sorted/predict", json={"x" * 1500: 1, "rows": []})
    assert reply.status_code == 400
    assert len(client.get("/models/" + "x" * 5000).json()["error"]) < 2100


def test_rows_have_a_weight(tmp_path: Path) -> None:
    columns = {"load": KINDS["number"].settings(), "sign": KINDS["image"].settings(size=8)}
    write_version(tmp_path / "signs", columns)
    with asking(tmp_path, {"signs": tmp_path / "signs"}, Limits(input_bytes=3 * 8 * 8 * 3)) as client:
        assert predict(client, *[{"load": 1, "sign": None}] * 3, model="signs").status_code == 200
        reply = predict(client, *[{"load": 1, "sign": None}] * 4, model="signs")
        assert reply.status_code == 413 and "4 rows are more than the 3" in reply.json()["error"]


def test_pictures_come_in_forms_and_in_json(tmp_path: Path) -> None:
    columns = {"load": KINDS["number"].settings(), "sign": KINDS["image"].settings(size=8)}
    write_version(tmp_path / "signs", columns)
    with asking(tmp_path, {"signs": tmp_path / "signs"}) as client:
        place = "/models/signs/predict"
        files = {"sign": ("a.png", picture(20), "image/png")}
        assert client.post(place, data={"load": "2.5"}, files=files).json()["predictions"] == [{"value": 2.5}]
        empty = client.post(place, data={"load": ""}, files={"sign": ("", b"")})
        assert empty.status_code == 200 and empty.json()["predictions"] == [{"value": 0}]
        broken = client.post(place, data={"load": "1"}, files={"sign": ("a.png", picture(20)[:40])})
        assert broken.status_code == 422 and broken.json()["findings"][0]["column"] == "sign"
        absent = client.post(place, data={"load": "1"}, files={"sing": ("a.png", picture(20))})
        assert absent.status_code == 422 and "'sign', row 1: is missing" in absent.json()["error"]
        assert client.post(place, content=b"x", headers={"Content-Type": "multipart/form-data"}).status_code == 400


@pytest.mark.parametrize("charset", ["undefined", "idna", "no-such", "rot13"])
def test_a_form_in_any_charset_is_refused_or_answered(client: TestClient, charset: str) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="load"\r\n\r\n\xff1\r\n--b--\r\n'
    headers = {"Content-Type": f"multipart/form-data; boundary=b; charset={charset}"}
    reply = client.post("/models/sorted/predict", content=part, headers=headers)
    assert reply.status_code in (400, 422)


def test_windows_come_in_forms_as_lists_or_numbers(tmp_path: Path) -> None:
    columns = {"load": KINDS["number"].settings(), "wave": KINDS["series"].settings(window=3)}
    write_version(tmp_path / "waves", columns)
    with asking(tmp_path, {"waves": tmp_path / "waves"}) as client:
        place, file = "/models/waves/predict", {"more": ("a.png", b"x")}
        for wave in ("[1, null, 3]", "1 2.5 3", " 1,2;3 ", ""):
            reply = client.post(place, data={"load": "2", "wave": wave}, files=file)
            assert reply.json()["predictions"] == [{"value": 2}], wave
        for wave, said in (
            ("1 2", "a window is a list of 3 numbers"),
            ("1 x 3", "wrong type"),
            ("[1, 2", "wrong type"),
        ):
            reply = client.post(place, data={"load": "2", "wave": wave}, files=file)
            assert reply.status_code == 422 and said in reply.json()["error"], wave


def test_a_field_of_a_form_is_given_once(client: TestClient) -> None:
    parts = [("load", (None, "1")), ("load", (None, "2")), ("shop", (None, "north"))]
    reply = client.post("/models/by hand é/predict", files=parts)
    assert reply.status_code == 400 and "field 'load' is given 2 times" in reply.json()["error"]
