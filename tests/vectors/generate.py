#!/usr/bin/env python3
"""Writes the vectors of hermes/1, or checks the frozen ones (--check)."""
import json
import pathlib
import sys

from hermes1 import cases

HERE = pathlib.Path(__file__).parent


def main():
    check, bad = "--check" in sys.argv[1:], []
    for name, (about, network, content) in cases.all_files().items():
        text = json.dumps({"about": about, "network": network, "cases": content}, indent=1) + "\n"
        target = HERE / f"{name}.json"
        if not check:
            target.write_text(text)
        elif not target.exists() or target.read_text() != text:
            bad.append(target.name)
    for name in bad:
        print(f"{name} differs from what the specification gives", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
