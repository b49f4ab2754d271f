#!/usr/bin/env bash
# joserfc 1.8.0 (PyPI): its decode() refuses a well-signed JWT whose header has a member that no registered specification defines,
# such as `signer`, which AWS load balancers put into the tokens that they send to what is behind them. RFC 7515 §4 says that
# header parameters which are not understood MUST be ignored; `crit` is for those that must not. PyJWT 2.15.1 (PyPI) takes the token.
# Seen: «unsupported_header: Unsupported {'signer'} in header»; with a registry of strict_check_header=False it is taken.
# Who moves from one library to the other keeps all settings, and loses the tokens of one issuer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check joserfc==1.8.0 pyjwt==2.15.1 cryptography
cat >seen.py <<'SCRIPT'
import jwt as pyjwt
from joserfc import jwk, jws, jwt

key = jwk.ECKey.generate_key("P-256")
header = {"kid": "k1", "signer": "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/app/a/1"}
token = pyjwt.encode({"sub": "alice"}, key.as_pem(private=True), "ES256", headers=header)


def joserfc(**more):
    try:
        return jwt.decode(token, key, algorithms=["ES256"], **more).claims["sub"]
    except Exception as error:
        return f"refused: {error}"


print("PyJWT", pyjwt.decode(token, key.as_pem(private=False), ["ES256"])["sub"])
print("joserfc", joserfc())
print("joserfc, not strict", joserfc(registry=jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)))
SCRIPT
seen=$(venv/bin/python seen.py)
echo "$seen"
[ "$seen" = "PyJWT alice
joserfc refused: unsupported_header: Unsupported {'signer'} in header
joserfc, not strict alice" ]
