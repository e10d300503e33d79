#!/usr/bin/env bash
# The stub of hpc-provider-gcp's tests against two voices of Google's: the real Python client drives it, and the discovery
# document of the API says whether the excerpt that the Rust tests hold it against is still what it says.
# The packages are kept between runs; the stub listens on a free port of loopback.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"

environment=$(venv google-cloud-compute-1.57.0 google-cloud-compute==1.57.0)
if [ ! -e "$environment/document" ]; then
    # Only to read the document that it ships with.
    "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps google-api-python-client==2.202.0
    find "$environment" -path '*discovery_cache/documents/compute.v1.json' >"$environment/document"
fi
"$environment/bin/python" tests/counterparts/gce.py check "$(cat "$environment/document")" \
    adapters/hpc-provider-gcp/tests/data/compute-v1-excerpt.json

cargo test --locked -p hpc-provider-gcp --features sdk
cargo build --quiet --locked -p hpc-provider-gcp --features sdk --example compute_stub
port=$(free_port)
start compute_stub "${CARGO_TARGET_DIR:-target}/debug/examples/compute_stub" "127.0.0.1:$port"
wait_http compute_stub "http://127.0.0.1:$port/compute/v1/projects/research-1234"
"$environment/bin/python" tests/counterparts/gce.py client "http://127.0.0.1:$port"
