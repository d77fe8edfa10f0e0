"""The console in a browser: complete, silent, alone, readable by everybody, and proof against what rows contain."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from detector.console.access import COOKIE, SESSION_SECONDS, Access
from detector.console.pages.frame import KEYS
from tests.browser import chromium
from tests.console.made import HOSTILE
from tests.console.staged import SECONDS, Scene, looking, scene

PATHS = ("/", "/drift", "/dead-letters", "/line")
FIRST = ".alerts .alert >> nth=0"
SHORT_SECONDS = 5
"""What is left of a sign-in."""

expect.set_options(timeout=SECONDS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def full() -> Iterator[Scene]:
    with scene("full") as started:
        yield started


@pytest.fixture(scope="module")
def nothing() -> Iterator[Scene]:
    with scene("empty") as started:
        yield started


@pytest.fixture(scope="module")
def hostile() -> Iterator[Scene]:
    with scene("hostile") as started:
        yield started


def sound(page: Page) -> None:
    """Nothing that axe-core finds wrong, at any level of WCAG 2.2 A and AA, or of good practice."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def open_first(page: Page) -> None:
    """To the page of the newest alert."""
    page.locator(FIRST).locator("[data-open]").click()
    page.wait_for_selector(".judge")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_every_page_is_sound(browser: Browser, full: Scene, width: int, scheme: str) -> None:
    """On a desk and on a phone, light and dark: axe finds nothing, the console is silent, nothing runs off the side,
    and nobody is asked for anything but the console itself."""
    for path in PATHS:
        with looking(browser, full.address, path, width, "dark" if scheme == "dark" else "light") as seen:
            page = seen.page
            if path == "/":
                page.wait_for_selector(FIRST)
            sound(page)
            if path == "/":
                open_first(page)
                sound(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert seen.said == []
            assert seen.hosts == {urlsplit(full.address).netloc}


def test_dark_and_light(browser: Browser, full: Scene) -> None:
    """The page follows the person's system, and the button, which is remembered."""
    paper = "getComputedStyle(document.body).backgroundColor"
    with looking(browser, full.address, "/", 1280, "dark") as seen:
        assert seen.page.evaluate(paper) == "rgb(17, 19, 24)"
        seen.page.locator("#theme").click()
        assert seen.page.evaluate(paper) == "rgb(245, 246, 248)"
        seen.page.reload()
        seen.page.wait_for_selector(FIRST)
        assert seen.page.evaluate(paper) == "rgb(245, 246, 248)"


def test_ten_thousand_alerts(browser: Browser, full: Scene) -> None:
    """All are there: said, reached by pages, and by filters."""
    with looking(browser, full.address) as seen:
        page = seen.page
        expect(page.locator(".count")).to_have_text("1-50 of 10,000")
        page.get_by_role("button", name="Older").click()
        expect(page.locator(".count")).to_have_text("51-100 of 10,000")
        page.locator("#seek").fill("card-0103")
        expect(page.locator(".count")).to_contain_text("that match, 10,000 in all")
        expect(page.locator(FIRST)).to_contain_text("card-0103")
        page.get_by_label("Order").select_option("highest")
        expect(page.locator(".count")).to_contain_text("that match")
        page.get_by_label("Least score").fill("900")
        expect(page.locator(".empty")).to_contain_text("No alert matches")
        assert seen.said == []


def test_verdicts_by_keys_alone(browser: Browser) -> None:
    """j and k move, f, l and u judge the alert in focus, Enter opens it; who said it is written with it."""
    with scene("few") as staged, looking(browser, staged.address) as seen:
        page = seen.page
        page.wait_for_selector(FIRST)
        for key in "jjk":
            page.keyboard.press(key)
        row = page.locator(".alerts .alert").nth(0)
        assert page.evaluate("document.activeElement.closest('.alert') === document.querySelector('.alerts .alert')")
        for key, word in (("f", "fraud"), ("l", "legitimate"), ("u", "unsure")):
            page.keyboard.press(key)
            assert staged.line() == f"said 2093 {word} ada ''"
            expect(row.locator(f"button.{word}")).to_have_attribute("aria-pressed", "true")
        expect(page.locator(".status")).to_contain_text("unsure, written to topic labels")
        page.keyboard.press("Enter")
        page.wait_for_selector(".judge")
        page.keyboard.press("n")
        page.keyboard.type("stolen card")
        page.keyboard.press("Escape")
        page.keyboard.press("f")
        assert staged.line() == "said 2093 fraud ada 'stolen card'"
        expect(page.locator(".judge .told")).to_contain_text("Fraud, said ada")
        expect(page.locator(".judge .noted")).to_have_text("stolen card")
        page.keyboard.press("j")
        expect(page.locator("h1")).to_have_text("Row 2086")
        page.keyboard.press("k")
        expect(page.locator("h1")).to_have_text("Row 2093")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).not_to_be_visible()
        assert seen.said == []


def test_the_other_keys(browser: Browser) -> None:
    """/ searches, Escape leaves the field, p pauses and goes on, ? tells of every key, and typing moves nothing."""
    with scene("few") as staged, looking(browser, staged.address) as seen:
        page = seen.page
        page.wait_for_selector(FIRST)
        page.keyboard.press("/")
        page.keyboard.type("jkflp")
        expect(page.locator("#seek")).to_have_value("jkflp")
        expect(page.locator(".empty")).to_contain_text("No alert matches")
        page.locator("#seek").fill("")
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement === document.body")
        page.keyboard.press("p")
        expect(page.get_by_role("button", name="Go on")).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("p")
        expect(page.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "false")
        page.keyboard.press("Control+f")
        page.keyboard.press("?")
        assert page.get_by_role("dialog").locator("kbd").all_inner_texts() == list(KEYS)
        assert seen.said == []


def test_the_list_stands_still_while_a_person_is_in_it(browser: Browser) -> None:
    """At a hundred alerts a second rows move on, but not under the person's hands; what is new is counted and shown."""
    with scene("live") as staged, looking(browser, staged.address) as seen:
        page = seen.page
        page.wait_for_selector(FIRST)
        name = "document.querySelector('.alerts .alert').dataset.row"
        first = page.evaluate(name)
        page.wait_for_function(f"{name} !== {first!r}")
        page.keyboard.press("j")
        expect(page.locator(".fresh")).to_be_visible()
        held = page.evaluate(name)
        before = page.locator(".fresh").inner_text()
        page.wait_for_function(f"document.querySelector('.fresh').innerText !== {before!r}")
        assert page.evaluate(name) == held
        page.keyboard.press("g")
        page.wait_for_function(f"{name} !== {held!r}")
        assert seen.said == []


def test_an_alerts_page(browser: Browser, full: Scene) -> None:
    """Score among its window, reasons with value and expected, the entity's other alerts, place, and the raw row."""
    with looking(browser, full.address) as seen:
        page = seen.page
        open_first(page)
        assert "threshold" in (page.locator(".histogram").get_attribute("aria-label") or "")
        expect(page.get_by_role("table", name="Reasons").locator("tbody tr")).to_have_count(4)
        expect(page.get_by_label("Place")).to_contain_text("transactions")
        assert page.get_by_role("table", name="Other alerts of the entity").locator("tbody tr").count() > 3
        page.get_by_role("button", name="Fetch it from Kafka").click()
        expect(page.locator("pre")).to_contain_text('"note": "<b>bold</b>"')
        assert seen.said == []


@pytest.mark.parametrize("path", PATHS)
def test_nothing_in_a_row_is_markup(browser: Browser, hostile: Scene, path: str) -> None:
    """Keys, names, values, notes and reasons that are scripts, handlers and templates are shown as text."""
    with looking(browser, hostile.address, path) as seen:
        page = seen.page
        expect(page.locator("#content")).to_contain_text("<script>top.hacked=1</script>")
        if path == "/":
            open_first(page)
            for text in page.locator("h1, .noted, section[aria-label=Reasons]").all_inner_texts():
                assert HOSTILE[:40] in text
        assert page.evaluate("window.hacked === undefined")
        assert page.locator("img").count() == 0
        assert seen.said == []
        assert seen.hosts == {urlsplit(hostile.address).netloc}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/", "Start one: python -m detector run"),
        ("/drift", "Nothing has drifted"),
        ("/dead-letters", "No dead letters"),
        ("/line", "No detector has been at work"),
        ("/alert?id=transactions/0/1", "Start the console with a larger --history"),
    ],
)
def test_nothing_yet(browser: Browser, nothing: Scene, path: str, told: str) -> None:
    """Where there is nothing, the page says why and what to do, and is sound."""
    with looking(browser, nothing.address, path) as seen:
        words = " ".join(seen.page.locator(".empty").first.inner_text().split())
        assert told in words
        sound(seen.page)
        assert seen.said == []


def test_no_broker(browser: Browser) -> None:
    """A broker that is away is told with what to do, what was read stays, and a verdict that is not written says so."""
    with scene("broken") as staged, looking(browser, staged.address) as seen:
        page = seen.page
        expect(page.get_by_role("alert")).to_contain_text("No broker answers")
        expect(page.get_by_role("alert")).to_contain_text("Check that Kafka runs")
        page.locator(FIRST).get_by_role("button", name="legitimate").click()
        expect(page.locator(".status.bad")).to_contain_text("Not written")
        expect(page.locator(FIRST).locator("button.legitimate")).to_have_attribute("aria-pressed", "false")
        sound(page)


def test_it_comes_back_by_itself(browser: Browser) -> None:
    """A page whose console went away and came back shows its alerts again without being asked."""
    with scene("few") as staged, looking(browser, staged.address) as seen:
        page = seen.page
        page.wait_for_selector(FIRST)
        page.evaluate("window.before = true")
        staged.process.kill()
        staged.process.wait()
        page.wait_for_selector("#popup[aria-hidden=false]")
        port = urlsplit(staged.address).port
        with scene("few", f"console_port={port}"):
            page.wait_for_function("window.before === undefined && document.querySelector('.alerts .alert')")


def test_signing_in(browser: Browser, tmp_path: Path) -> None:
    """With tokens a page is reached through the sign-in, verdicts carry the person's name, and signing out ends it."""
    file = tmp_path / "tokens"
    file.write_text("grace: correct-horse-battery\n")
    with scene("few", f"token_file={file}") as staged:
        context = browser.new_context()
        page = context.new_page()
        page.goto(staged.address)
        sound(page)
        page.get_by_label("Your token").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("not known")
        page.get_by_label("Your token").fill("correct-horse-battery")
        page.keyboard.press("Enter")
        page.locator(FIRST).get_by_role("button", name="fraud").click()
        assert staged.line() == "said 2093 fraud grace ''"
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Your token")).to_be_visible()
        page.goto(staged.address)
        expect(page.get_by_label("Your token")).to_be_visible()
        context.close()


def test_a_sign_in_that_has_ended(browser: Browser, tmp_path: Path) -> None:
    """A page whose console came back and knows its person no more leads to the sign-in by itself."""
    file = tmp_path / "tokens"
    file.write_text("grace: correct-horse-battery\n")
    with scene("few", f"token_file={file}") as staged:
        context = browser.new_context()
        page = context.new_page()
        page.goto(staged.address)
        page.get_by_label("Your token").fill("correct-horse-battery")
        page.keyboard.press("Enter")
        page.wait_for_selector(FIRST)
        staged.process.kill()
        staged.process.wait()
        file.write_text("grace: another-horse-battery\n")
        with scene("few", f"token_file={file}", f"console_port={urlsplit(staged.address).port}"):
            expect(page.get_by_label("Your token")).to_be_visible()
        context.close()


def test_a_page_that_is_open_longer_than_its_sign_in(browser: Browser, tmp_path: Path) -> None:
    """It gets no more of what comes, and leads to the sign-in by itself."""
    file = tmp_path / "tokens"
    file.write_text("grace: correct-horse-battery\n")
    tokens = {"grace": "correct-horse-battery"}
    with scene("few", f"token_file={file}") as staged:
        context = browser.new_context()
        cookie = Access("", tokens).cookie("grace", time.time() - SESSION_SECONDS + SHORT_SECONDS)
        context.add_cookies([{"name": COOKIE, "value": cookie, "url": staged.address}])
        page = context.new_page()
        page.goto(staged.address)
        page.wait_for_selector(FIRST)
        expect(page.get_by_label("Your token")).to_be_visible(timeout=60_000)
        context.close()


def test_what_gets_in_all_the_same_does_not_run(browser: Browser, full: Scene) -> None:
    """Were there a hole, the policy would hold: handlers, scripts in the page and from elsewhere, and other hosts."""
    attempts = """() => new Promise(done => {
        const kept = [];
        addEventListener("securitypolicyviolation", (e) => {
            if (kept.push(e.effectiveDirective) === 4) done([...kept].sort());
        });
        document.body.insertAdjacentHTML("beforeend", "<img src=x: onerror='window.hacked = 1'>");
        for (const parts of [{ textContent: "window.hacked = 1" }, { src: "http://127.0.0.1:9/x.js" }])
            document.body.append(Object.assign(document.createElement("script"), parts));
        fetch("http://127.0.0.1:9/").catch(() => null);
        document.body.append(Object.assign(document.createElement("iframe"), { src: "http://127.0.0.1:9/" }));
    })"""
    with looking(browser, full.address, "/drift") as seen:
        kept = seen.page.evaluate(attempts)
        assert set(kept) >= {"connect-src", "script-src-attr", "script-src-elem"}, kept
        assert seen.page.evaluate("window.hacked === undefined")


def test_another_sites_page_gets_no_socket(browser: Browser, full: Scene) -> None:
    """A page of another origin on this machine opens no websocket to the console, and reads nothing of it."""
    with scene("few") as other, looking(browser, other.address) as seen:
        target = full.address.replace("http", "ws") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
        opened = f"""new Promise(done => {{ const it = new WebSocket({target!r});
            it.onopen = () => done("open"); it.onerror = () => done("refused"); }})"""
        context = seen.page.context.browser.new_context(bypass_csp=True)  # type: ignore[union-attr]
        page = context.new_page()
        page.goto(other.address)
        assert page.evaluate(opened) == "refused"
        fetched = f"fetch({full.address!r}).then(() => 'read', () => 'refused')"
        assert page.evaluate(fetched) == "refused"
        context.close()
