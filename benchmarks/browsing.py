"""What a reader of a page waits for, measured within headless Chromium."""

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The page stands once a frame that shows this is painted.
READY = ".pane[data-ready=true]"
# Where the pointer moves in each view.
FIELDS = {
    "map": "#map-a",
    "text": ".sheet [data-unit]",
    "lines": "[id^=lines-a-]",
    "grid": "[data-side=a] [data-at]",
}
_CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-background-networking"]
_SIZE = {"width": 1280, "height": 1000}

# `painted` waits until the frame that comes next is painted; `usable` is when that was first so of what is ready.
_WATCHING = """
  window.painted = () => new Promise(done => requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    port2.postMessage(null);
  }));
  const look = async () => {
    while (!document.querySelector(READY)) await painted();
    await painted();
    window.usable = performance.now();
  };
  look();
"""

# A move lasts until the first frame is painted after its event, or the second one where that changed the page too.
_FOLLOWING = """() => {
  let changes = 0;
  const within = target => (target.nodeType === Node.TEXT_NODE ? target.parentElement : target);
  new MutationObserver(all => {
    if (all.some(({ target }) => !within(target)?.closest("#announced"))) changes++;
  }).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  window.moves = [];
  window.told = new Set();
  addEventListener("pointermove", async event => {
    await painted();
    const [first, before] = [performance.now(), changes];
    await painted();
    moves.push((changes > before ? performance.now() : first) - event.timeStamp);
    told.add(`${document.querySelector("#says").textContent} ${document.querySelector("#head-facts")?.dataset.of}`);
  }, { capture: true, passive: true });
}"""

# Points within visible elements, from pairs of random numbers and one more that chooses the element.
_POINTS = """([selector, numbers]) => {
  const boxes = [...document.querySelectorAll(selector)].map(each => each.getBoundingClientRect())
    .filter(box => box.width && box.bottom > 0 && box.top < innerHeight);
  return numbers.map(([which, right, down]) => {
    const box = boxes[Math.floor(which * boxes.length)];
    const [top, bottom] = [Math.max(0, box.top), Math.min(innerHeight, box.bottom)];
    return [box.left + right * box.width, top + down * (bottom - top)];
  }).filter(([x, y]) => document.elementFromPoint(x, y)?.closest(selector));
}"""

_MOVED = (
    "count => new Promise(done => { const look = () => moves.length > count ? done() : setTimeout(look); look(); })"
)

_CHOOSE = """async head => {
  const [select, title] = [document.getElementById("head"), document.getElementById("head-a")];
  const start = performance.now();
  select.value = head;
  select.dispatchEvent(new Event("change", { bubbles: true }));
  do await painted(); while (!title.textContent.includes(`head ${head}:`) || !document.querySelector(READY));
  return performance.now() - start;
}"""


@dataclass(frozen=True)
class Memory:
    """What a tab holds, in megabytes: objects of the page, and all that its process has for itself alone."""

    heap: float
    process: float


class Browser:
    """Chromium, from which pages are opened from disk.

    Args:
        driver: playwright's browser.
        scripts: a folder of scripts that stand in for those a page asks a network for; None: there is no network.
    """

    def __init__(self, driver: Any, scripts: Path | None) -> None:
        self._driver = driver
        self._scripts = scripts

    @contextmanager
    def opened(self, path: Path, address: str = "", ready: str = READY, limit: float = 30) -> Iterator[Any]:
        """Open a page, ready once an element is there, and wait for that; TimeoutError after so many seconds."""
        from playwright.sync_api import TimeoutError as TooLateError

        context = self._driver.new_context(viewport=_SIZE)
        page = context.new_page()
        page.set_default_timeout(limit * 1e3)
        page.add_init_script(f"window.READY = {ready!r};{_WATCHING}")
        page.route("https://**/*", self._answer)
        try:
            page.goto(path.resolve().as_uri() + address)
            page.wait_for_function("() => window.usable !== undefined")
            yield page
        except TooLateError as error:
            raise TimeoutError(str(path)) from error
        finally:
            context.close()

    def opening(self, path: Path, ready: str = READY, limit: float = 30) -> float:
        """Return the seconds from navigation until a page can be used; infinity if it cannot within the limit."""
        try:
            with self.opened(path, ready=ready, limit=limit) as page:
                return float(page.evaluate("usable")) / 1e3
        except TimeoutError:
            return float("inf")

    def hovering(self, page: Any, view: str, moves: int = 100) -> list[float]:
        """Return the milliseconds from each of some moves of the pointer to the frame that shows what it is on."""
        page.wait_for_timeout(300)
        numbers = random.Random(0)
        page.evaluate(_FOLLOWING)
        drawn = [[numbers.random() for _ in range(3)] for _ in range(3 * moves)]
        points = page.evaluate(_POINTS, [FIELDS[view], drawn])[:moves]
        for count, (x, y) in enumerate(points):
            page.mouse.move(x, y)
            page.evaluate(_MOVED, count)
        told = page.evaluate("told.size")
        if len(points) < moves or told < moves / 10:
            raise SystemExit(
                f"{view}: expected {moves} moves that tell of weights; got {len(points)} that told {told}"
            )
        return [float(time) for time in page.evaluate("moves")]

    def choosing(self, page: Any, heads: range) -> list[float]:
        """Return the milliseconds from choosing each head of the open layer to the frame that shows it."""
        return [float(page.evaluate(_CHOOSE, str(head))) for head in heads]

    def memory(self, page: Any) -> Memory:
        """Return the memory of a tab, once what it no longer needs is collected."""
        tools = page.context.new_cdp_session(page)
        tools.send("HeapProfiler.collectGarbage")
        tools.send("Performance.enable")
        metrics = {each["name"]: each["value"] for each in tools.send("Performance.getMetrics")["metrics"]}
        everything = self._driver.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
        private = max(_private(each["id"]) for each in everything if each["type"] == "renderer")
        return Memory(metrics["JSHeapUsedSize"] / 1e6, private / 1e6)

    def _answer(self, route: Any) -> None:
        name = route.request.url.rsplit("/", 1)[-1]
        if self._scripts is not None and (self._scripts / name).is_file():
            route.fulfill(path=self._scripts / name, content_type="text/javascript")
        else:
            route.abort()


@contextmanager
def browser(scripts: Path | None = None) -> Iterator[Browser]:
    """Start Chromium."""
    from playwright.sync_api import sync_playwright

    if _CHROMIUM is None:
        raise SystemExit("the benchmark of the page needs Chromium (Debian: apt-get install chromium)")
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=_CHROMIUM, args=_QUIET)
        yield Browser(started, scripts)
        started.close()


def _private(process: int) -> int:
    """Return the bytes that no other process shares, as Linux counts them."""
    told = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    return sum(int(line.split()[1]) * 1024 for line in told.splitlines() if line.startswith("Private_"))
