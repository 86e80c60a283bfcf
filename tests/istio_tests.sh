#!/usr/bin/env bash
# Judges predictions by the cases made from Istio's own tests, which live outside this project.
#
#   tests/istio_tests.sh [DIR] [conformance options ...]      # e.g. ../shared -o json
#
# DIR holds istio-tests/istio-tests.tar.gz; default ../shared. Without the archive nothing is judged and the exit code is 0,
# otherwise it is that of `mesh-sim conformance`: 1 when a case disagrees.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
dir=${1:-$here/../shared}
shift || true
archive=$dir/istio-tests/istio-tests.tar.gz

if [ ! -f "$archive" ]; then
    echo "istio-tests: $archive is not here: skipped" >&2
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar xzf "$archive" -C "$work"

bin=${MESH_SIM:-}
if [ -z "$bin" ]; then
    (cd "$here" && cargo build --release --quiet)
    bin=$here/target/release/mesh-sim
fi
"$bin" conformance --judge istio "$work" "$@"
