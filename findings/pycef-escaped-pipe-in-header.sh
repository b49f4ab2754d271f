#!/usr/bin/env bash
# pycef 1.11 (PyPI): a `|` that is escaped in the header, as CEF's specification has it («Implementing ArcSight Common Event Format»,
# Character Encoding: a pipe in the header has to be escaped with a backslash), ends in an IndexError.
# Seen: `CEF:0|a|…` is read; `CEF:0|a\|b|…` raises. Whoever wants to be read by it has no pipe and no backslash in the header; and undoes
# the escapes of values, which it leaves as they are.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pycef==1.11
cat >seen.py <<'SCRIPT'
import pycef

print(pycef.parse(r"CEF:0|a|b|1|2|n|3|msg=x")["DeviceVendor"])
try:
    print(pycef.parse(r"CEF:0|a\|b|c|1|2|n|3|msg=x"))
except IndexError as fault:
    print("IndexError:", fault)
print(pycef.parse(r"CEF:0|a|b|1|2|n|3|msg=x\=y\\z")["msg"])
SCRIPT
seen=$(venv/bin/python seen.py)
echo "$seen"
[ "$seen" = 'a
IndexError: list index out of range
x\=y\\z' ]
