# SPDX-License-Identifier: MIT
"""The HTML page in a real browser: no console error, no request, and the counts of the document."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

RENDER = os.environ["RENDER_HTML"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SAMPLE = json.loads((pathlib.Path(__file__).parent / "sample.json").read_text())
# Of this page, not of the browser's own services.
COMPLAINT = re.compile(r"CONSOLE|Content Security Policy|Refused to|net::ERR")


class Browser(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="lsc-html-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def dump(self, page, *options):
        path = self.dir / "page.html"
        path.write_text(page)
        done = subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                               f"--user-data-dir={self.dir}/profile", "--enable-logging=stderr", "--v=0", *options,
                               "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=90)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return done.stdout, [line for line in done.stderr.splitlines() if COMPLAINT.search(line)]

    def rendered(self, document):
        return subprocess.run([RENDER], input=json.dumps(document), capture_output=True, text=True, check=True).stdout.rstrip("\0")

    def test_the_page_has_the_counts_of_its_document_and_no_console_error(self):
        dom, complaints = self.dump(self.rendered(SAMPLE))
        self.assertEqual(complaints, [])
        counts = dict(re.findall(r'data-count="(\w+)">(\d+)<', dom))
        self.assertEqual(counts, {part: str(len(SAMPLE[part])) for part in ("findings", "stalls", "loops")})
        self.assertEqual(dom.count('<article class="stall"'), len(SAMPLE["stalls"]))
        self.assertEqual(dom.count('<article class="finding'), len(SAMPLE["findings"]))
        self.assertEqual(len(re.findall(r'<rect class="c-[a-z-]+" x="[^"]*" y="2"', dom)), len(SAMPLE["stalls"]))

    def test_hostile_names_run_nothing(self):
        hostile = "</script><script>document.title='pwned'</script><img src=x onerror=document.title='pwned'>"
        document = json.loads(json.dumps(SAMPLE).replace("refresh_prices", hostile).replace("fetch_rates", hostile))
        dom, complaints = self.dump(self.rendered(document))
        self.assertEqual(complaints, [])
        self.assertNotIn("<title>pwned", dom)
        self.assertNotIn("<img", dom)

    def test_the_style_is_admitted_and_nothing_is_wider_than_a_phone(self):
        """A probe beside the page's own policy: the widths are measured by a script in a copy of it."""
        page = self.rendered(SAMPLE)
        page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
        frame = self.dir / "frame.html"
        frame.write_text(page.replace("</body>", "<script>document.title = [innerWidth, "
                                      "document.documentElement.scrollWidth].join('/')</script></body>"))
        for width in (360, 1280):
            host = f'<iframe src="{frame.as_uri()}" width="{width}" height="900" style="border:0"></iframe><script>' \
                   "addEventListener('load', () => { const d = document.querySelector('iframe').contentDocument;" \
                   "document.title = 'width ' + d.title; });</script>"
            dom, _ = self.dump(host, "--allow-file-access-from-files")
            measured = re.search(r"<title>width (\d+)/(\d+)</title>", dom)
            self.assertTrue(measured, dom[:500])
            self.assertEqual(int(measured[1]), width)
            self.assertLessEqual(int(measured[2]), width)

    def test_the_check_for_complaints_would_see_one(self):
        _, complaints = self.dump("<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">"
                                  "<script>1</script>")
        self.assertTrue(complaints)


if __name__ == "__main__":
    if not CHROMIUM:
        print("skipped: chromium is not installed")
        sys.exit(77)
    unittest.main(verbosity=1)
