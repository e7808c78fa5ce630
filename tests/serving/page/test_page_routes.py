import asyncio
import re
from html.parser import HTMLParser
from pathlib import Path

import grpc
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.testclient import TestClient

from tfac.serving.page import page_routes, routes
from tfac.serving.server.refusals import Refusal

PHOTO_TYPE = {"content-type": "application/octet-stream"}
STATIC = Path(routes.__file__).parent / "static"


@pytest.fixture(scope="module")
def client(drawn_app):
    return TestClient(drawn_app)


def ask(client, content, *models, headers=PHOTO_TYPE, **query):
    query = {"photo": "two.png", "model": list(models or ["explaining/2"]), **query}
    return client.post("/page/faces", content=content, params=query, headers=headers)


@pytest.fixture(scope="module")
def two(drawn_photos):
    return (drawn_photos / "two.png").read_bytes()


def test_root_leads_to_the_page(client):
    answer = client.get("/", follow_redirects=False)
    assert answer.status_code == 307 and answer.headers["location"] == "page"
    assert "<title>tfac" in client.get("/").text


class References(HTMLParser):
    """What a page loads, and what it holds that the security policy would not run."""

    def __init__(self):
        super().__init__()
        self.loaded, self.inline = [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag in ("script", "link", "img", "iframe", "object", "source"):
            self.loaded.append(attributes.get("src") or attributes.get("href"))
        self.inline += [name for name in attributes if name == "style" or name.startswith("on")]


def test_page_is_made_of_its_own_files_alone(client):
    references = References()
    references.feed(client.get("/page").text)
    loaded = [one for one in references.loaded if one != "data:,"]
    assert sorted(loaded) == ["page/static/page.css", "page/static/page.js"]
    assert not references.inline
    for address in loaded:
        assert client.get(f"/{address}").status_code == 200


def test_no_file_of_the_page_names_another_host():
    files = sorted(STATIC.iterdir())
    assert {path.suffix for path in files} == {".html", ".css", ".js"}
    for path in files:
        hosts = set(re.findall(r"(?:https?:)?//[\w.]+\.\w+[^\s\"']*", path.read_text("utf-8")))
        assert hosts <= {"http://www.w3.org/2000/svg"}, path  # a name, nothing to load
        assert "@import" not in path.read_text("utf-8")


def test_scripts_import_files_that_are_there(client):
    for path in STATIC.glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', path.read_text("utf-8")):
            answer = client.get(f"/page/static/{name}")
            assert answer.status_code == 200 and "javascript" in answer.headers["content-type"]


@pytest.mark.parametrize(
    "path", ["/", "/page", "/page/models", "/page/static/page.js", "/page/static/page.css"]
)
def test_every_answer_has_the_security_headers(client, path):
    headers = client.get(path, follow_redirects=False).headers
    assert headers["content-security-policy"].startswith("default-src 'self'; img-src 'self' data:")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_answers_about_photos_are_not_stored(client, two):
    for answer in (ask(client, two), ask(client, b"")):
        assert answer.headers["cache-control"] == "no-store"
        assert "content-security-policy" in answer.headers


def test_models_are_listed_latest_version_first_and_absent_ones_left_out(client):
    models = client.get("/page/models").json()["models"]
    listed = [(one["model"], one["version"], one["mask_levels"]) for one in models]
    assert listed == [
        ("explaining", 2, ["P3", "P4"]),
        ("explaining", 1, ["P3", "P4"]),
        ("other", 1, []),
    ]
    assert models[0]["mask_groups"] == ["eyes", "nose", "mouth", "around_head", "whole_face"]
    assert models[0]["part_groups"]["mouth"] == ["Smiling"]


def test_two_models_answer_for_the_same_faces(client, two):
    answer = ask(client, two, "explaining/1", "other/1").json()
    assert (answer["photo"], answer["width"], answer["height"]) == ("two.png", 440, 220)
    first, second = answer["models"]
    assert (first["model"], second["model"]) == ("explaining", "other")
    places = [[face["rectangle"] for face in one["faces"]] for one in (first, second)]
    assert places[0] == places[1] and len(places[0]) == 2
    # The larger face first; it is the left one.
    assert places[0][0]["right"] < 230 < places[0][1]["left"]
    assert [face["landmarks_by"] for face in first["faces"]] == ["dlib", "dlib"]
    assert [face["landmarks_by"] for face in second["faces"]] == ["model", "model"]
    assert "masks" in first["faces"][0] and "masks" not in second["faces"][0]


def test_versions_of_one_model_answer_side_by_side(client, two):
    first, second = ask(client, two, "explaining/1", "explaining/2").json()["models"]
    said = [one["faces"][0]["attributes"]["Smiling"]["probability"] for one in (first, second)]
    assert said[0] < said[1]


def test_photo_is_turned_as_its_exif_says(client, drawn_photos):
    answer = ask(client, (drawn_photos / "turned.jpg").read_bytes()).json()
    assert (answer["width"], answer["height"]) == (180, 200)
    assert len(answer["models"][0]["faces"]) == 1


def test_crop_is_answered_whole(client, drawn_photos):
    answer = ask(client, (drawn_photos / "meadow.png").read_bytes(), aligned="1").json()
    [face] = answer["models"][0]["faces"]
    assert face["rectangle"] == {"left": 0, "top": 0, "right": 90, "bottom": 60}


def test_photo_without_a_face_is_an_answer(client, drawn_photos):
    answer = ask(client, (drawn_photos / "meadow.png").read_bytes())
    assert answer.status_code == 200 and answer.json()["models"][0]["faces"] == []


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_what_is_no_picture_is_named_with_the_reason(client, content):
    answer = ask(client, content, photo="holiday/a.png")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("holiday/a.png: ")


@pytest.mark.parametrize(
    "models, status, message",
    [
        (["absent/1"], 404, "absent"),
        (["explaining/7"], 404, "explaining"),
        (["explaining"], 400, "expected NAME/VERSION. Received: explaining"),
        (["explaining/-1"], 400, "expected NAME/VERSION"),
        (["explaining/²"], 400, "expected NAME/VERSION"),
        (["explaining/" + 19 * "9"], 400, "expected NAME/VERSION"),
        (["other/1"] * 3, 400, "expected 1 to 2 models. Received: 3"),
    ],
)
def test_unknown_models_are_refused(client, two, models, status, message):
    answer = ask(client, two, *models)
    assert answer.status_code == status and message in answer.json()["error"]


def test_request_without_a_model_is_refused(client, two):
    answer = client.post("/page/faces", content=two, headers=PHOTO_TYPE)
    assert answer.status_code == 400 and "Received: 0" in answer.json()["error"]


def test_request_as_another_site_could_send_it_is_refused(client, two):
    answer = ask(client, two, headers={"content-type": "text/plain"})
    assert answer.status_code == 415


def test_large_file_is_refused_before_and_while_it_is_read(client, monkeypatch):
    monkeypatch.setattr(routes, "MAX_PHOTO_BYTES", 1000)
    assert ask(client, bytes(1001)).status_code == 413
    answer = ask(client, iter([bytes(600), bytes(600)]))
    assert answer.status_code == 413 and "1000 bytes" in answer.json()["error"]
    assert ask(client, bytes(1000)).status_code == 400  # read, and no picture


def test_photos_beyond_the_bound_are_told_to_come_again(client, two, monkeypatch):
    monkeypatch.setattr(routes, "_MOST_PHOTOS", 0)
    answer = ask(client, two)
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"


def test_no_place_is_lost_to_requests_that_fail(client, two, monkeypatch):
    monkeypatch.setattr(routes, "_MOST_PHOTOS", 1)
    for content in (b"", b"nonsense", two):
        assert ask(client, content).status_code in (200, 400)
    assert ask(client, two, "absent/1").status_code == 404
    assert ask(client, two).status_code == 200


def test_what_the_model_refuses_is_told(drawn_store, two):
    def predict(name, version, signature, inputs):
        raise Refusal(grpc.StatusCode.UNAVAILABLE, "the queue is full")

    client = TestClient(Starlette(routes=page_routes(drawn_store, predict)))
    answer = ask(client, two, aligned="1")
    assert answer.status_code == 503 and answer.json() == {"error": "the queue is full"}


def read(receive):
    scope = {"type": "http", "method": "POST", "headers": [], "query_string": b""}
    return asyncio.run(routes._read_photo(Request(scope, receive)))


def test_slow_upload_ends(monkeypatch):
    async def receive():
        await asyncio.sleep(60)

    monkeypatch.setattr(routes, "_UPLOAD_SECONDS", 0.01)
    with pytest.raises(Refusal) as caught:
        read(receive)
    assert caught.value.http_status == 408


def test_client_that_goes_away_is_no_error_of_the_server():
    async def receive():
        return {"type": "http.disconnect"}

    with pytest.raises(Refusal) as caught:
        read(receive)
    assert isinstance(caught.value.__cause__, ClientDisconnect)
