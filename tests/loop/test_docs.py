# SPDX-License-Identifier: MIT
"""test_docs.py SOURCE: each public function has a docstring that says how it can fail, or that it
cannot; a test of tests/loop calls it, and one that does names each error that the docstring names."""
import pathlib
import re
import sys

# What says something of errors: an errno, a NULL that means one, or that there is none.
ERRORS = re.compile(r"-E[A-Z0-9]+\b|\bNULL\b|[Nn]ever fails|[Ee]rrors? (?:is|are|as) (?:that|those|of)"
                    r"|errors named above|[Tt]he same")
DECLARATION = re.compile(r"^LSC_API\b(?P<text>[^;{]*?\b(?P<name>lsc_\w+)\s*\([^;]*)\)\s*(?:__attribute__\s*\(\(.*?\)\)\s*)?;", re.S | re.M)


def functions(header):
    """Pairs of (name, docstring) in their order. A docstring stands for all declarations directly below it."""
    text = header.read_text()
    doc, end = "", 0
    for match in DECLARATION.finditer(text):
        between = text[end:match.start()]
        comments = re.findall(r"/\*(.*?)\*/", between, re.S)
        if comments:
            doc = comments[-1] if not between[between.rfind("*/") + 2:].strip() else ""
        elif between.strip() or "\n\n" in between:
            doc = ""
        end = match.end()
        yield match["name"], " ".join(re.sub(r"^\s*\*", " ", doc, flags=re.M).split())


def main():
    source = pathlib.Path(sys.argv[1])
    headers = sorted([*source.glob("loop/include/loopscope/*.h"), *source.glob("loop/tls/include/loopscope/*.h")])
    tests = [re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.S)
             for path in sorted((source / "tests/loop").glob("*.c"))]
    wrong, count = [], 0
    for header in headers:
        for name, doc in functions(header):
            count += 1
            where = f"{header.name}: {name}()"
            if not doc:
                wrong.append(f"{where} has no docstring")
            elif not ERRORS.search(doc):
                wrong.append(f"{where} does not say how it fails, or that it does not: {doc}")
            callers = [test for test in tests if re.search(rf"\b{name}\b", test)]
            if not callers:
                wrong.append(f"{where} is not called in tests/loop")
            for error in sorted(set(re.findall(r"-(E[A-Z0-9]+)\b", doc))):
                if callers and not any(re.search(rf"\b{error}\b", test) for test in callers):
                    wrong.append(f"{where}: no test that calls it knows {error}")
    print("\n".join(wrong) or f"{count} public functions")
    if count < 100:
        sys.exit(f"only {count} functions were found: the pattern is wrong")
    sys.exit(1 if wrong else 0)


main()
