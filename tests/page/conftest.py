"""A real browser for the page: it opens from disk, asks for nothing, and says nothing."""

import os
import shutil
from pathlib import Path

import pytest

import regard.reports.page.html

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
QUIET += ["--disable-background-networking", "--disable-component-update"]
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    missing = pytest.mark.skip(reason="no Chromium on this machine (Debian: apt-get install chromium)")
    for item in items:
        if HERE in item.path.parents and "opened" in item.fixturenames:
            item.add_marker(pytest.mark.slow)
            if CHROMIUM is None:
                item.add_marker(missing)


@pytest.fixture(scope="session", autouse=True)
def built_elsewhere():
    """Take the page from the folder that REGARD_PAGE names, where sources are tried before they are built in."""
    folder = os.environ.get("REGARD_PAGE")
    with pytest.MonkeyPatch.context() as patch:
        if folder:
            patch.setattr(regard.reports.page.html, "files", lambda _: Path(folder))
        yield


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Open a saved page; at the end, nothing may have been asked for, said or thrown."""
    pages = []

    def open_page(path, address="", **options):
        page, noise = browser.new_page(**options), []
        own = path.resolve().as_uri()
        page.on("request", lambda request: noise.append(request.url) if is_foreign(request.url, own) else None)
        page.on("console", lambda message: noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("dialog", lambda dialog: noise.append(dialog.message))
        page.goto(own + address)
        page.wait_for_selector(".pane[data-ready=true]")
        pages.append((page, noise))
        return page

    yield open_page
    for page, noise in pages:
        page.close()
        assert not noise


def is_foreign(url, own):
    return url.partition("#")[0] != own and not url.startswith(("data:", "blob:"))
