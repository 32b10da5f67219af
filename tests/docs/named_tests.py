#!/usr/bin/env python3
"""usage: named_tests.py TESTS DOCUMENT...

Fails unless the tests and fuzz targets that the documents name are in a file below TESTS. Names are: anything in
backticks that is written `Suite.Name` or `Suite.*`; in a paragraph that begins with "Tests:", and in the first column of
a table of tests or targets, anything in backticks.
"""
import pathlib
import re
import sys

DEFINED = re.compile(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", re.MULTILINE)
FUZZ = re.compile(r"^AZOTH_FUZZ\((\w+),", re.MULTILINE)
NAMED = re.compile(r"`([A-Z]\w*\.(?:[A-Z]\w*|\*))`")
PARAGRAPH = re.compile(r"^Tests: .*?(?=^\s*$|\Z)", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^\| (?:test|target) \|.*?(?=^[^|]|\Z)", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([^`]+)`")
PLACEHOLDER = "Fuzz.NAME"


def defined_below(tests: pathlib.Path) -> set:
    defined = {PLACEHOLDER}
    for path in tests.rglob("*.cc"):
        text = path.read_text()
        for suite, name in DEFINED.findall(text):
            defined |= {f"{suite}.{name}", f"{suite}.*", suite}
        defined |= set(FUZZ.findall(text))
    return defined


def named_in(text: str) -> set:
    named = set(NAMED.findall(text))
    for paragraph in PARAGRAPH.findall(text):
        named |= set(QUOTED.findall(paragraph))
    for table in TABLE.findall(text):
        for row in table.splitlines():
            named |= set(QUOTED.findall(row.split("|")[1]))
    return named


def main() -> int:
    defined = defined_below(pathlib.Path(sys.argv[1]))
    problems = 0
    any_named = False
    for document in sys.argv[2:]:
        named = named_in(pathlib.Path(document).read_text())
        any_named = any_named or bool(named)
        for test in sorted(named - defined):
            print(f"{document}: there is no test {test}")
            problems += 1
    if not any_named:
        print("no test is named")
    return 1 if problems or not any_named else 0


sys.exit(main())
