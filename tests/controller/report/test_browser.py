"""The page in a real browser: it asks nobody for anything, and fits a phone."""

from __future__ import annotations

import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from edgedyno.controller.lab.report import judge_and_render
from edgedyno.core.job import Require
from tests.controller.report.test_examples import pictured_job
from tests.controller.report.test_report import resolved_job
from tests.controller.synthetic import SWEEP, Lab, Trial, failed, metered

if TYPE_CHECKING:
    from collections.abc import Iterator

# Looks into the page from outside: the page itself allows no script.
FRAME = """<!doctype html><iframe id="it" width="{width}" height="800" src="/report.html"></iframe>
<pre id="out"></pre><script>
document.getElementById("it").onload = event => {{
  const page = event.target.contentWindow, root = page.document.documentElement;
  document.getElementById("out").textContent = JSON.stringify([
    root.scrollWidth, root.clientWidth, page.performance.getEntriesByType("resource")
      .filter(entry => !entry.name.startsWith("data:")).length]);
}};
</script>"""


class Served:
    """One page on loopback, and what was asked for."""

    def __init__(self, pages: dict[str, str]) -> None:
        asked: list[str] = []
        self.asked = asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                body = pages.get(self.path, "").encode()
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, name="pages", daemon=True).start()


@pytest.fixture(scope="module")
def page() -> str:
    lab = Lab()
    trials = [
        *(
            Trial(one.precision, one.threads, one.latency_seconds, one.accuracy, one.drop, metered(0.04, 5.0))
            for one in SWEEP
        ),
        failed("int8", 4, "a_very_long_word_without_any_place_to_break_it" * 4),
    ]
    results = lab.results(*trials)
    resolved, results = pictured_job(lab, results, resolved_job(Require(accuracy_drop=0.01)))
    return judge_and_render([(results, resolved)] * 2, read=lab.read, language="zh")


@pytest.fixture
def served(page: str) -> Iterator[Served]:
    frames = {f"/{width}.html": FRAME.format(width=width) for width in (390, 1180)}
    it = Served({"/report.html": page, **frames})
    yield it
    it.server.shutdown()
    it.server.server_close()


def test_it_asks_nobody_for_anything_and_fits_its_window(served: Served, tmp_path: Any) -> None:
    for width in (390, 1180):
        served.asked.clear()
        url = f"http://127.0.0.1:{served.server.server_port}/{width}.html"
        command = [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / str(width)}",
            "--no-first-run", "--disable-background-networking", "--virtual-time-budget=5000", "--dump-dom", url,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        found = re.search(r'<pre id="out">\[(\d+),(\d+),(\d+)\]', done.stdout)
        assert found is not None, done.stdout[-300:]
        scroll_width, client_width, requests = map(int, found.groups())
        assert scroll_width <= client_width
        assert requests == 0
        assert set(served.asked) <= {f"/{width}.html", "/report.html", "/favicon.ico"}
