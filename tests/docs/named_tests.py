#!/usr/bin/env python3
"""usage: named_tests.py TESTS DOCUMENT...

Fails unless each test that a document names, as `Suite.Name` or `Suite.*`, is in a file below TESTS.
"""
import pathlib
import re
import sys

DEFINED = re.compile(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", re.MULTILINE)
NAMED = re.compile(r"`([A-Z]\w*\.(?:[A-Z]\w*|\*))`")


def main() -> int:
    defined = set()
    for path in pathlib.Path(sys.argv[1]).rglob("*_test.cc"):
        for suite, name in DEFINED.findall(path.read_text()):
            defined |= {f"{suite}.{name}", f"{suite}.*"}
    problems = 0
    for document in sys.argv[2:]:
        named = NAMED.findall(pathlib.Path(document).read_text())
        if not named:
            print(f"{document}: names no test")
            problems += 1
        for test in sorted(set(named) - defined):
            print(f"{document}: there is no test {test}")
            problems += 1
    return 1 if problems else 0


sys.exit(main())
