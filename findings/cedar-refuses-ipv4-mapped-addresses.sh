#!/usr/bin/env bash
# cedarpy 4.12.2 (PyPI; Cedar's own engine): `ip("::ffff:10.0.0.1")` is an error, though RFC 4291 §2.5.5.2 has that form, and a
# socket that listens on both families reports IPv4 peers so.
# Seen: a policy that looks at 10.0.0.1 is evaluated; at ::ffff:10.0.0.1 it ends with «We do not accept IPv4 embedded in IPv6».
# Addresses have to be made IPv4 again before they are given to policies.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check cedarpy==4.12.2
cat >seen.py <<'SCRIPT'
import cedarpy

for address in ("10.0.0.1", "::1", "::ffff:10.0.0.1"):
    policies = f'permit (principal, action, resource) when {{ ip("{address}") == ip("{address}") }};'
    request = {"principal": 'User::"ann"', "action": 'Action::"call"', "resource": 'Tool::"pay"', "context": {}}
    said = cedarpy.is_authorized(request, policies, [])
    print(address, said.decision.name, "We do not accept IPv4 embedded in IPv6" in str(said.diagnostics.errors))
SCRIPT
seen=$(venv/bin/python seen.py)
echo "$seen"
[ "$seen" = "10.0.0.1 Allow False
::1 Allow False
::ffff:10.0.0.1 Deny True" ]
