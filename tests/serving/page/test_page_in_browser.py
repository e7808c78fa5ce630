"""The page in a real browser: Chromium, without a window."""

import csv
import json
import os
import re
import shutil

import pytest

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
expect.set_options(timeout=60_000)  # a machine that is busy with other tests is slow

pytestmark = pytest.mark.slow  # starts a browser

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
# Nothing of the browser's own may use the network.
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium: none is on the path, and CHROMIUM names none")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, served_page):
    """Opens the page in a window of its own; fails if a script did, or reached another host."""
    windows, errors, asked = [], [], []

    def open_page(width=1280, height=900, **options):
        window = browser.new_context(viewport={"width": width, "height": height}, **options)
        windows.append(window)
        page = window.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda one: errors.append(one.text) if _is_error(one) else None)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(served_page.address)
        expect(page.locator("#model-a option")).to_have_count(3)
        return page

    yield open_page
    for window in windows:
        window.close()
    assert not errors
    elsewhere = [
        url for url in asked if not url.startswith((served_page.address, "blob:", "data:"))
    ]
    assert not elsewhere


def _is_error(message) -> bool:
    # The console notes answers that are errors: of a broken photo, of a busy server.
    return message.type == "error" and not re.search("status of (400|503)", message.text)


def choose(page, *paths):
    page.set_input_files("#files", [str(path) for path in paths])
    expect(page.locator("#status")).to_have_text(re.compile("answered"))


def shown_table(page) -> dict[str, list[str]]:
    """Attribute to its cells' texts, in the order of the rows."""
    rows = page.locator("#attributes tbody tr:not(.part)").all()
    return {
        row.locator("th").inner_text().split("\n")[0]: row.locator("td").all_inner_texts()
        for row in rows
    }


def test_faces_have_boxes_landmarks_and_bars(open_page, drawn_photos):
    page = open_page()
    choose(page, drawn_photos / "two.png")
    expect(page.locator("#status")).to_have_text("1 photo answered, 2 faces found.")
    expect(page.locator("#picture .box")).to_have_count(2)
    expect(page.locator("#picture .dot")).to_have_count(2 * 68)
    expect(page.locator("#picture-caption")).to_have_text("Landmarks: 68 by dlib.")
    assert page.locator("#picture").get_attribute("viewBox") == "0 0 440 220"
    assert page.locator("#picture image").get_attribute("href").startswith("blob:")
    rows = page.locator("#attributes tbody tr")
    expect(rows).to_have_count(5)
    # The bar and the mark stand where the numbers say.
    row = rows.nth(0)
    track, fill, mark = (row.locator(one).bounding_box() for one in (".track", ".fill", ".mark"))
    said = float(row.locator(".number").inner_text().split(" %")[0]) / 100
    assert fill["width"] / track["width"] == pytest.approx(said, abs=0.01)
    cut = float(re.search(r"threshold ([\d.]+) %", row.locator(".number").text_content())[1]) / 100
    middle = mark["x"] + mark["width"] / 2 - track["x"]
    assert middle / track["width"] == pytest.approx(cut, abs=0.01)


def test_attributes_shown_come_first_or_by_part(open_page, drawn_photos):
    page = open_page()
    choose(page, drawn_photos / "two.png")
    rows = page.locator("#attributes tbody tr")
    ticks = [bool(text) for text in rows.locator(".tick").all_inner_texts()]
    assert ticks == sorted(ticks, reverse=True) and set(ticks) == {True, False}
    numbers = [float(text.split(" %")[0]) for text in rows.locator(".number").all_inner_texts()]
    assert numbers[: sum(ticks)] == sorted(numbers[: sum(ticks)], reverse=True)
    page.select_option("#order", "parts")
    parts = page.locator("#attributes .part th")
    expect(parts).to_have_text(["eyes", "nose", "mouth", "around head", "whole face"])
    page.select_option("#filter", "shown")
    assert len(shown_table(page)) == sum(ticks)


def test_mask_of_a_part_lies_over_the_photo(open_page, drawn_photos):
    page = open_page()
    choose(page, drawn_photos / "two.png")
    expect(page.locator("#picture image")).to_have_count(1)
    page.select_option("#mask-group", "mouth")
    expect(page.locator("#picture image")).to_have_count(3)  # the photo and a mask a face
    before = page.locator("#picture image").nth(1).get_attribute("href")
    assert before.startswith("data:image/png;base64,")
    page.select_option("#mask-level", "P4")
    assert page.locator("#picture image").nth(1).get_attribute("href") != before
    assert "mask of mouth" in page.locator("#picture").get_attribute("aria-label")
    page.check("#zoom")
    expect(page.locator("#picture image")).to_have_count(2)  # of the chosen face alone
    page.select_option("#model-a", "other/1")
    expect(page.locator("#masks")).to_be_hidden()


def test_two_models_are_shown_side_by_side(open_page, drawn_photos):
    page = open_page()
    page.select_option("#model-a", "explaining/1")
    choose(page, drawn_photos / "two.png")
    alone = shown_table(page)
    assert {len(cells) for cells in alone.values()} == {1}
    page.select_option("#model-b", "explaining/2")  # asks again by itself
    columns = page.locator("#attributes thead th")
    expect(columns).to_have_text(["Attribute", "explaining, version 1", "explaining, version 2"])
    both = shown_table(page)
    assert {name: cells[0] for name, cells in both.items()} == {
        name: cells[0] for name, cells in alone.items()
    }
    page.select_option("#filter", "differ")
    differing = shown_table(page)
    assert 0 < len(differing) < len(both)
    for first, second in differing.values():
        assert ("✓" in first) != ("✓" in second)
    page.select_option("#model-b", "other/1")
    expect(page.locator("#picture .dot.b")).to_have_count(2 * 5)


def test_unreadable_file_is_named_with_the_reason_and_others_go_on(open_page, drawn_photos):
    page = open_page()
    names = ("broken.png", "notes.txt", "turned.jpg", "meadow.png")
    choose(page, *(drawn_photos / name for name in names))
    expect(page.locator("#status")).to_have_text(
        "2 photos answered, 1 face found; 1 photo without a face; 2 photos not answered."
    )
    problems = page.get_by_role("alert")
    expect(problems).to_contain_text("broken.png: the picture cannot be decoded")
    expect(problems).to_contain_text("notes.txt: expected a picture (JPEG, PNG")
    expect(problems).to_contain_text("meadow.png: no face found")
    page.get_by_role("radio", name="broken.png").check()
    expect(page.locator("#photo-facts")).to_contain_text("cannot be decoded")


def test_first_photo_that_can_be_shown_is_shown_until_another_is_chosen(open_page, drawn_photos):
    page = open_page()
    names = ("broken.png", "notes.txt", "two.png", "turned.jpg")
    choose(page, *(drawn_photos / name for name in names))
    expect(page.locator("#photo-name")).to_have_text("two.png")
    page.get_by_role("radio", name="turned.jpg").check()
    choose(page, drawn_photos / "meadow.png")
    expect(page.locator("#photo-name")).to_have_text("turned.jpg")


@pytest.mark.parametrize("width", [1280, 360])
def test_group_of_a_hundred_faces_stays_usable(open_page, drawn_photos, width):
    page = open_page(width)
    face = {"landmarks": None, "landmarks_by": None, "attributes": {}}
    places = [(10 + 43 * (i % 10), 5 + 21 * (i // 10)) for i in range(100)]
    faces = [
        face | {"rectangle": {"left": x, "top": y, "right": x + 14, "bottom": y + 14}}
        for x, y in places
    ]
    model = {"model": "other", "version": 1, "thresholds": {}, "faces": faces}
    answer = {"photo": "two.png", "width": 440, "height": 220, "models": [model]}
    page.route("**/page/faces?*", lambda route: route.fulfill(json=answer))
    choose(page, drawn_photos / "two.png")
    expect(page.locator("#faces .choice")).to_have_count(100)
    assert page.locator("#faces").bounding_box()["height"] < 250
    tag, box = (page.locator(one).nth(56).bounding_box() for one in ("#picture .tag", ".box"))
    assert tag["width"] < box["width"] / 2
    before = page.evaluate("scrollY")
    page.locator("#picture .box").nth(56).dispatch_event("click")
    expect(page.locator("#face-57")).to_be_checked()
    assert page.evaluate("scrollY") == before
    listed, chosen = (page.locator(one).bounding_box() for one in ("#faces", "#face-57"))
    assert listed["y"] <= chosen["y"]
    assert chosen["y"] + chosen["height"] <= listed["y"] + listed["height"]
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_photo_is_drawn_upright_with_its_box_on_the_face(open_page, drawn_photos):
    page = open_page()
    choose(page, drawn_photos / "turned.jpg")
    page.uncheck("#landmarks")
    # A drawn face has skin in the middle of its box only if browser and server turn it alike.
    box = page.locator("#picture .box").bounding_box()
    shot = page.screenshot(
        clip={"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2, "width": 4}
        | {"height": 4}
    )
    expected = _middle_of_face(drawn_photos / "turned.jpg")
    assert _mean_colour(shot) == pytest.approx(expected, abs=40)


def _middle_of_face(path):
    from tfac.photos.face_detection import FaceDetector
    from tfac.photos.pictures import open_picture

    picture = open_picture(path)
    [(left, top, right, bottom)] = FaceDetector().detect(picture)
    x, y = (left + right) // 2, (top + bottom) // 2
    return tuple(picture[y - 1 : y + 3, x - 1 : x + 3].mean(axis=(0, 1)))


def _mean_colour(png: bytes):
    from tfac.photos.pictures import open_picture

    return tuple(open_picture(png).mean(axis=(0, 1)))


def drop(page, *paths):
    """Drops files and folders on the page as the system's file manager would."""
    box = page.locator("#drop").bounding_box()
    session = page.context.new_cdp_session(page)
    event = {
        "x": box["x"] + box["width"] / 2,
        "y": box["y"] + 20,
        "data": {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1},
    }
    for kind in ("dragEnter", "dragOver"):
        session.send("Input.dispatchDragEvent", {"type": kind, **event})
    expect(page.locator("#drop")).to_contain_class("over")
    session.send("Input.dispatchDragEvent", {"type": "drop", **event})
    expect(page.locator("#drop")).not_to_contain_class("over")


def test_files_and_folders_are_dropped(open_page, drawn_photos, tmp_path):
    inner = tmp_path / "album" / "inner"
    inner.mkdir(parents=True)
    shutil.copy(drawn_photos / "two.png", tmp_path / "album")
    shutil.copy(drawn_photos / "notes.txt", tmp_path / "album")
    shutil.copy(drawn_photos / "turned.jpg", inner)
    page = open_page()
    drop(page, tmp_path / "album", drawn_photos / "meadow.png")
    expect(page.locator("#status")).to_contain_text("3 photos answered, 3 faces")
    titles = [one.get_attribute("title") for one in page.locator("#photos .choice").all()]
    assert titles == ["album/inner/turned.jpg", "album/two.png", "meadow.png"]
    # Where the browser tells no folders apart, the files are taken as they are.
    page.evaluate(
        """() => {
          const transfer = new DataTransfer();
          transfer.items.add(new File(["nonsense"], "made.png"));
          const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
          document.getElementById("drop").dispatchEvent(new DragEvent("drop", options));
        }"""
    )
    expect(page.get_by_role("alert")).to_contain_text("made.png: expected a picture")


def test_folder_is_chosen(open_page, drawn_photos):
    page = open_page()
    page.set_input_files("#folder", str(drawn_photos))
    expect(page.locator("#status")).to_contain_text("3 photos answered")
    expect(page.locator("#photos .choice")).to_have_count(4)  # notes.txt is passed over


def test_crops_are_not_searched(open_page, drawn_photos):
    page = open_page()
    page.check("#aligned")
    choose(page, drawn_photos / "meadow.png")
    expect(page.locator("#status")).to_have_text("1 photo answered, 1 face found.")


def test_answers_are_downloaded(open_page, drawn_photos, tmp_path):
    page = open_page()
    page.select_option("#model-b", "other/1")
    named = tmp_path / '=1+2,"a".png'
    shutil.copy(drawn_photos / "two.png", named)
    choose(page, named, drawn_photos / "broken.png", drawn_photos / "meadow.png")
    photos, broken, meadow = json.loads(download(page, "Download JSON"))
    assert photos["photo"] == named.name and len(photos["models"]) == 2
    face = photos["models"][0]["faces"][1]
    assert {"rectangle", "landmarks", "attributes"} <= set(face) and "masks" not in face
    assert broken["photo"] == "broken.png" and "cannot be decoded" in broken["error"]
    assert meadow["models"][0]["faces"] == []

    rows = list(csv.DictReader(download(page, "Download CSV").splitlines()))
    assert len(rows) == 2 * 2 * 5 + 2
    assert rows[0]["photo"] == f"'{named.name}"  # a spreadsheet would compute it
    said = face["attributes"][rows[5]["attribute"]]
    assert rows[5]["face"] == "2" and rows[5]["model"] == "explaining"
    assert float(rows[5]["probability"]) == said["probability"]
    assert (rows[5]["shown"] == "1") == said["shown"]
    assert float(rows[5]["threshold"]) == 0.5
    assert rows[-1]["error"] == "no face found" and rows[-2]["photo"] == "broken.png"


def download(page, button: str) -> str:
    with page.expect_download() as expected:
        page.get_by_role("button", name=button).click()
    with open(expected.value.path(), encoding="utf-8", newline="") as file:
        return file.read()


def test_everything_is_reached_by_keyboard(open_page, drawn_photos):
    page = open_page()
    photos = [str(drawn_photos / name) for name in ("two.png", "turned.jpg")]
    page.on("filechooser", lambda chooser: chooser.set_files(photos))
    assert walk(page) == "more model-a model-b files folder aligned".split()
    page.locator("#files").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("2 photos answered")
    page.get_by_role("radio", name="two.png").check()  # either may be answered first
    reached = walk(page)
    assert reached[0] == "skip"
    of_answers = reached[reached.index("aligned") + 1 :]
    assert (
        of_answers
        == (
            "json csv clear photo-1 boxes landmarks zoom mask-group mask-level face-1 order filter"
        ).split()
    )
    page.locator("#face-1").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#attributes caption")).to_contain_text("Face 2")
    page.locator("#photo-1").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#photo-name")).to_have_text("turned.jpg")
    page.locator("#skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "answers"
    page.locator("#clear").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#answers")).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "files"


def walk(page) -> list[str]:
    """Goes through the page by the tab key; returns what had the focus, which must be seen."""
    while tab(page):  # to the end; the next press starts at the top
        pass
    reached = []
    while found := tab(page):
        name, seen = found
        assert seen, f"{name} has the focus and does not show it"
        reached.append(name)
    return reached


def tab(page):
    """Presses the tab key; returns what has the focus and whether that shows, None at the end."""
    page.keyboard.press("Tab")
    return page.evaluate(
        """() => {
          const one = document.activeElement;
          if (one === document.body) return null;
          const outlined = [one, one.labels?.[0]].some(
            (it) => it && getComputedStyle(it).outlineStyle !== "none");
          return [one.id, outlined];
        }"""
    )


@pytest.mark.parametrize("width", [360, 320])
def test_phone_needs_no_sideways_scrolling(open_page, drawn_photos, width):
    page = open_page(width, 740, has_touch=True)
    page.select_option("#model-b", "other/1")
    choose(page, drawn_photos / "two.png", drawn_photos / "broken.png", drawn_photos / "meadow.png")
    page.get_by_role("radio", name="two.png").check()
    page.select_option("#mask-group", "eyes")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    # Nothing but what is meant for screen readers alone is cut off or leaves the window.
    outside = page.evaluate(
        """() => [...document.querySelectorAll("main *")].filter((one) => {
          const { left, right, width } = one.getBoundingClientRect();
          const inside = one.closest("svg, .hidden, .choice .name");
          return !inside && width > 0 && (left < 0 || right > innerWidth + 0.5);
        }).map((one) => one.outerHTML.slice(0, 80))"""
    )
    assert outside == []
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, select, .picker label, .choice label")]
          .filter((one) => one.offsetHeight > 0 && one.offsetHeight < 40)
          .map((one) => one.id || one.textContent)"""
    )
    assert small == []


def test_everything_has_a_name_for_screen_readers(open_page, drawn_photos):
    page = open_page()
    page.select_option("#model-b", "other/1")
    choose(page, drawn_photos / "two.png", drawn_photos / "meadow.png")
    page.get_by_role("radio", name="two.png").check()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("input, select, progress, button")].filter((one) => {
          const words = one.localName === "button"
            ? one.textContent : [...one.labels].map((label) => label.textContent).join("");
          return one.id !== "progress" && !words.trim();
        }).map((one) => one.outerHTML)"""
    )
    assert nameless == []
    picture = page.get_by_role("img", name="two.png, 2 faces marked, face 1 chosen")
    expect(picture).to_be_visible()
    unlabelled = page.evaluate(
        """() => [...document.querySelectorAll("svg, img, canvas")]
          .filter((one) => !one.closest("[aria-hidden=true], [aria-label], [alt]"))
          .map((one) => one.outerHTML.slice(0, 80))"""
    )
    assert unlabelled == []
    doubled = page.evaluate(
        """() => { const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
          return ids.filter((id, i) => ids.indexOf(id) !== i); }"""
    )
    assert doubled == []
    levels = page.evaluate(
        """() => [...document.querySelectorAll("h1, h2, h3")]
          .filter((one) => one.offsetParent).map((one) => Number(one.localName[1]))"""
    )
    assert levels[0] == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    assert page.locator("html").get_attribute("lang") == "en"
    row = page.get_by_role("row").nth(1)
    assert re.search(r"%\s*, (not )?shown, threshold [\d.]+ %", row.text_content())
    expect(page.get_by_role("status")).to_contain_text("2 photos answered")


CONTRAST = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (one) => {
    for (let it = one; it; it = it.parentElement) {
      const colour = parse(getComputedStyle(it).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const one of document.querySelectorAll("body *")) {
    const text = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || !one.offsetParent || one.closest("svg, .hidden, option, :disabled")) continue;
    const [light, dark] = [getComputedStyle(one).color, null].map((colour) =>
      luminance(colour ? parse(colour) : ground(one))).sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)}: ${one.textContent.slice(0, 40)}`);
  }
  return faint;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(open_page, drawn_photos, scheme):
    page = open_page(color_scheme=scheme)
    page.select_option("#model-b", "explaining/1")
    choose(page, drawn_photos / "two.png", drawn_photos / "broken.png")
    page.get_by_role("radio", name="two.png").check()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    bright = sum(map(int, re.findall(r"\d+", ground))) > 3 * 128
    assert bright == (scheme == "light")
    assert page.evaluate(CONTRAST) == []


def test_nothing_moves_where_that_is_not_wanted(open_page):
    page = open_page(reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_page_says_where_photos_go_and_what_it_is_not_for(open_page):
    page = open_page()
    expect(page.locator("#privacy")).to_contain_text("never leave this computer")
    notice = page.get_by_role("complementary")
    expect(notice).to_contain_text("noisy opinions of few annotators about pictures of celebrities")
    expect(notice).to_contain_text("Do not use it to decide about people")


def test_model_that_learned_from_drawings_says_so(open_page):
    page = open_page()
    facts = page.locator("#model-facts")
    words = "trained on synthetic_faces: drawings, so nothing of real faces is known."
    expect(facts).to_have_text(f"explaining: {words}")
    page.select_option("#model-b", "other/1")
    expect(facts).to_have_text(f"explaining and other: {words}")


def test_waiting_photos_can_be_stopped(open_page, drawn_photos):
    page = open_page()
    page.route("**/page/faces?*", lambda route: None)  # never answered
    page.set_input_files("#files", [str(drawn_photos / "two.png")] * 3)
    expect(page.locator("#progress-words")).to_contain_text("0 of 3 photos done")
    expect(page.get_by_role("status")).to_have_text("Looking at 3 photos.")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#status")).to_contain_text("Stopped")
    expect(page.locator("#answers")).to_be_hidden()
    page.unroute("**/page/faces?*")
    choose(page, drawn_photos / "two.png")
    expect(page.locator("#photos .choice")).to_have_count(1)


def test_busy_server_is_asked_again(open_page, drawn_photos):
    page = open_page()
    refused = []

    def refuse_once(route):
        if refused:
            return route.continue_()
        refused.append(route.request.url)
        return route.fulfill(status=503, json={"error": "busy"})

    page.route("**/page/faces?*", refuse_once)
    choose(page, drawn_photos / "meadow.png")
    expect(page.locator("#status")).to_contain_text("1 photo answered")
    assert len(refused) == 1
