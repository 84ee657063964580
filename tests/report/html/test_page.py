# SPDX-License-Identifier: MIT
"""The HTML page as a parser sees it: hostile text stays text, nothing is fetched, sizes are bounded."""
import base64
import copy
import hashlib
import html.parser
import json
import os
import pathlib
import re
import subprocess
import unittest

import jsonschema

RENDER = os.environ["RENDER_HTML"]
SAMPLE = json.loads((pathlib.Path(__file__).parent / "sample.json").read_text())
HOSTILE = "</script><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>" \
          "\"'><a href='javascript:alert(3)'>&amp;<!--\u202e\x1b]0;x\x07\x9b\u2028]]>"


def render_all(documents):
    done = subprocess.run([RENDER], input="\n".join(map(json.dumps, documents)), capture_output=True, text=True,
                          timeout=60)
    if done.returncode:
        raise AssertionError(f"render exits {done.returncode}: {done.stderr[-2000:]}")
    pages = done.stdout.split("\0")
    if len(pages) != len(documents) + 1 or pages.pop():
        raise AssertionError(f"{len(documents)} documents gave {len(pages)} pages")
    return pages


def render(document):
    return render_all([document])[0]


PARTS = ("loops", "tasks", "stalls", "stacks", "findings", "blame", "profiles", "counters", "stack_uses")


class Page(html.parser.HTMLParser):
    """Tags with attributes, text outside of the style and the island, the island, ids."""
    VOID = {"meta", "rect", "img", "br", "link", "input"}

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.raw, self.text, self.comments = [], [], {}, [], 0
        self.feed(text)
        self.close()
        if self.open:
            raise AssertionError(f"unclosed: {self.open}")

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID or tag == "rect":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> closes nothing at {self.getpos()}")

    def handle_data(self, data):
        where = self.open[-1] if self.open else ""
        if where in ("style", "script"):
            self.raw[where] = self.raw.get(where, "") + data
        else:
            self.text.append(data)

    def handle_comment(self, data):
        self.comments += 1

    def words(self):
        return " ".join("".join(self.text).split())

    def island(self):
        return json.loads(self.raw["script"])


def poison(value, text=HOSTILE):
    """The document with hostile text in every string and every free key."""
    if isinstance(value, str):
        return text
    if isinstance(value, list):
        return [poison(v, text) for v in value]
    if isinstance(value, dict):
        out = {k: poison(v, text) for k, v in value.items()}
        if "bpf-ring-full" in out:
            out[text] = out.pop("bpf-ring-full")
        return out
    return value


class Hostile(unittest.TestCase):
    ALLOWED = {"html", "head", "meta", "title", "style", "body", "a", "header", "main", "section", "article", "footer",
               "p", "h1", "h2", "h3", "b", "span", "code", "div", "dl", "dt", "dd", "ul", "ol", "li", "table", "thead",
               "tbody", "tr", "th", "td", "svg", "rect", "details", "summary", "script"}

    def check_is_inert(self, text):
        page = Page(text)
        self.assertLessEqual({tag for tag, _ in page.tags}, self.ALLOWED)
        self.assertEqual(page.comments, 0)
        for tag, attrs in page.tags:
            self.assertFalse([a for a in attrs if a.startswith("on") or a in ("src", "style", "srcset")], (tag, attrs))
            if "href" in attrs:
                self.assertRegex(attrs["href"], r"^#(main|s-?\d+)$")
            for value in attrs.values():
                self.assertNotIn("evil", value or "")
        scripts = [attrs for tag, attrs in page.tags if tag == "script"]
        self.assertEqual(scripts, [{"type": "application/json", "id": "report"}])
        self.assertIsNone(re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", text))
        return page

    def test_hostile_text_in_every_string_is_no_markup(self):
        document = poison(SAMPLE)
        page = self.check_is_inert(render(document))
        self.assertIn("<script>alert(1)</script>", page.words())  # shown as text
        self.assertEqual(page.island(), document)

    def test_each_string_alone_is_no_markup(self):
        """One poisoned string a page, so that none hides behind another; in samples of each key."""
        seen = set()

        def walk(value, path):
            if isinstance(value, (dict, list)):
                for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                    walk(inner, path + [key])
            elif isinstance(value, str):
                key = tuple(k for k in path if isinstance(k, str))
                if key not in seen:
                    seen.add(key)
                    paths.append(path)
        paths = []
        walk(SAMPLE, [])
        self.assertGreater(len(paths), 60)
        documents = []
        for path in paths:
            documents.append(copy.deepcopy(SAMPLE))
            spot = documents[-1]
            for key in path[:-1]:
                spot = spot[key]
            spot[path[-1]] = HOSTILE
        for text in render_all(documents):
            self.check_is_inert(text)

    def test_the_wrong_type_anywhere_is_no_crash(self):
        small = {**SAMPLE, **{part: SAMPLE[part][:1] for part in PARTS}}
        documents = []
        for wrong in (None, True, -1, 2**63 - 1, 1.5e300, "x", [], [[]], {}, [None, 7, "x", {"id": {}}]):
            documents.append({key: wrong for key in SAMPLE})
            documents += [{**small, "capture": {**SAMPLE["capture"], key: wrong}} for key in SAMPLE["capture"]]
            for part in PARTS:
                documents.append({**small, part: wrong})
                documents += [{**small, part: [{**SAMPLE[part][0], key: wrong}]} for key in SAMPLE[part][0]]
        for text in render_all(documents):
            self.check_is_inert(text)


class Content(unittest.TestCase):
    def test_the_sample_is_what_the_report_writes(self):
        schema = json.loads((pathlib.Path(__file__).parents[3] / "report/schema/report.json").read_text())
        jsonschema.validate(SAMPLE, schema)

    def test_the_island_is_the_document(self):
        self.assertEqual(Page(render(SAMPLE)).island(), SAMPLE)

    def test_the_policy_admits_this_style_and_nothing_else(self):
        text = render(SAMPLE)
        page = Page(text)
        policy = next(a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
        style = text[text.index("<style>") + 7:text.index("</style>")]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self.assertEqual(policy, f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'")
        self.assertNotIn("url(", style)
        self.assertNotIn("@import", style)
        self.assertNotRegex(text.split("<script")[0], r"(?i)https?://|//[a-z]+\.")

    def test_a_person_reads_what_was_found(self):
        words = Page(render(SAMPLE)).words()
        for text in ("6 stalls held 2 loops, the worst for 412.3 ms in 20.40 s",
                     "await an asynchronous client", "refresh_prices", "/srv/gateway/prices.py:57", "203.0.113.9:443",
                     "23 waited, 5.61 s in all, worst 411.9 ms", "still going on when the capture ended",
                     "cause inferred", "between 180.0 ms and 188.0 ms", "libblob.so+0x160c8",
                     "tasks of redis-server : it has no ring".replace(" :", ":"),
                     "18,233 events emitted, 18,230 stored, 3 lost: 3 bpf-ring-full",
                     "Use await asyncio.sleep() instead of time.sleep().", "wait #7 at 4.18 s, 411.9 ms: handle-9918",
                     "2026-03-02 14:02:03 UTC", "12.50 s: samples every 4 ms instead of 1 ms",
                     "Suppressed: known, replaced in 2.4, until 2026-06-01", "held by audit-writer 4260",
                     "futex FUTEX_WAIT_PRIVATE"):
            self.assertIn(text, words)

    def test_counts_on_the_page_are_those_of_the_document(self):
        counts = dict(re.findall(r'data-count="(\w+)">(\d+)<', render(SAMPLE)))
        self.assertEqual(counts, {part: str(len(SAMPLE[part])) for part in ("findings", "stalls", "loops")})

    def test_nothing_found_is_said_as_plainly(self):
        quiet = {**SAMPLE, "stalls": [], "findings": [], "stacks": [], "tasks": [], "blame": [], "profiles": [],
                 "loops": [{**SAMPLE["loops"][1], "stall_count": 0, "stalled_ns": 0}]}
        words = Page(render(quiet)).words()
        self.assertIn("No stall of 10.0 ms or more in 20.40 s", words)
        for coverage in (0.5, None):
            blind = {**quiet, "capture": {**SAMPLE["capture"], "coverage": coverage}}
            self.assertIn("10.0 ms or more, but too little was seen to call it healthy", Page(render(blind)).words())
        self.assertIn("No event loop was seen", Page(render({**quiet, "loops": []})).words())

    def test_a_capture_without_an_end_is_not_called_healthy(self):
        document = {**SAMPLE, "stalls": [], "findings": [],
                    "capture": {**SAMPLE["capture"], "duration_ns": None, "end": {"reason": None, "exit_status": None}}}
        for coverage in (1, None):  # of one that breaks off there is mostly none
            document["capture"]["coverage"] = coverage
            text = render(document)
            words = Page(text).words()
            self.assertIn("No stall of 10.0 ms or more up to where the capture breaks off", words)
            self.assertIn("Its end: it was cut off, or was still being written", words)
            self.assertNotIn("in 0 ns", words)
            self.assertIn('class="verdict warning"', text)

    def test_of_many_calls_the_longest_are_shown(self):
        document = copy.deepcopy(SAMPLE)
        call = document["stalls"][0]["blocks"][0]
        document["stalls"] = document["stalls"][:1]
        document["stalls"][0]["blocks"] = [{**call, "syscall": f"call-{i}", "duration_ns": 10**6 * i + 10**6}
                                           for i in range(60)]
        shown = re.findall(r"<code>(call-\d+)</code>", render(document).split("<script")[0])
        self.assertEqual(shown, [f"call-{i}" for i in range(59, 39, -1)])
        self.assertIn("40 more blocking calls, none of them longer", Page(render(document)).words())

    def test_unknown_is_called_unknown(self):
        words = Page(render({})).words()
        self.assertIn("unknown", words)
        self.assertNotIn("100 %", words)
        self.assertRegex(words, r"CPUs *unknown")

    def test_coverage_is_never_rounded_to_whole(self):
        document = copy.deepcopy(SAMPLE)
        document["capture"]["coverage"] = 0.99999
        self.assertIn("over 99.9 %", Page(render(document)).words())
        document["capture"]["coverage"] = 1
        self.assertIn("100 %", Page(render(document)).words())


class Bounds(unittest.TestCase):
    def test_a_huge_report_gives_a_bounded_page_that_says_what_it_left_out(self):
        document = copy.deepcopy(SAMPLE)
        big = {"victims": {"count": 5000, "sum_wait_ns": 1, "max_wait_ns": 1, "omitted": 0,
                           "list": [{"kind": "task", "name": "v" * 2000, "wait_ns": 1}] * 5000}}
        document["stalls"] = [{**SAMPLE["stalls"][0], "id": i, "duration_ns": 10**7 + i} for i in range(3000)]
        document["stalls"][2999].update(big)
        document["stacks"][0]["frames"] *= 400
        document["findings"] = [{**SAMPLE["findings"][0], "stall_ids": list(range(3000)), "tasks": [11] * 500,
                                 "evidence": SAMPLE["findings"][0]["evidence"] * 500}] * 400
        document["loops"] = [{**SAMPLE["loops"][0], "id": i} for i in range(300)]
        document["tasks"] = [{**SAMPLE["tasks"][0], "id": i} for i in range(5000)]
        document["capture"]["unseen"] *= 1000
        document["capture"]["targets"] *= 1000
        document["blame"] *= 1000
        document["profiles"] = [{**SAMPLE["profiles"][0], "samples": SAMPLE["profiles"][0]["samples"] * 500}] * 100
        text = render(document)
        page = text.split('<script type="application/json"')[0]
        self.assertLess(len(page), 4 << 20)
        words = Page(text).words()
        for left in ("2,900 more stalls", "350 more findings", "236 more loops", "4,970 more tasks", "1,960 more frames",
                     "4,980 more that waited", "980 more things unseen", "2,000 more stalls of this loop"):
            self.assertIn(left, words)

    def test_data_too_large_for_a_page_is_left_out_and_said(self):
        text = render({**SAMPLE, "padding": ["x" * 1000] * 9000})
        self.assertNotIn("<script", text)
        self.assertIn("too large to be carried by the page", Page(text).words())

    def test_a_text_is_cut_between_characters(self):
        document = copy.deepcopy(SAMPLE)
        document["findings"][0]["message"] = "\u20ac" * 100000
        self.assertIn("\u20ac\u2026", Page(render(document).split("<script")[0] + "</body></html>").words())


if __name__ == "__main__":
    unittest.main(verbosity=1)
