#!/usr/bin/env bash
# cedar-policy 4.14.1 (crates.io): whoever depends on it has the feature `preserve_order` of serde_json switched on for the whole
# program, by cedar-policy-core. serde_json's objects are then kept as they were written, and not in the order of their names:
# everything else in the program that prints a `serde_json::Value` prints something else than before, and a hash or a file
# that is compared with what was generated changes, depending on which crates are built together.
# Seen: `cargo tree` names the feature for a program that asks for serde_json without any.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export CARGO_TARGET_DIR="$folder/target"
cargo init --quiet --vcs none --name seen .
features() { cargo tree --quiet --edges features --invert serde_json --prefix none | grep -o 'serde_json feature "[a-z_]*"' | sort -u; }
cargo add --quiet serde_json@1
echo "serde_json alone:"
features
cargo add --quiet cedar-policy@=4.14.1
echo "with cedar-policy:"
features
features | grep -q preserve_order
cargo tree --quiet --edges features --invert serde_json@1 --prefix none | grep -q '^cedar-policy-core v4.14.1'
