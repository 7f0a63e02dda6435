#!/bin/sh
# Writes signet_sidecar/gen from the repository's proto folder. Needs the packages of requirements-dev.lock; run it with PYTHON=<that python>.
set -eu
cd "$(dirname "$0")"
out=signet_sidecar/gen
mkdir -p "$out"
"${PYTHON:-python3}" -m grpc_tools.protoc -I ../proto --python_out="$out" --pyi_out="$out" --grpc_python_out="$out" signet/sidecar/v1/sidecar.proto
# The generator writes absolute package names; the files live inside our package.
mv "$out"/signet/sidecar/v1/sidecar_pb2.py "$out"/signet/sidecar/v1/sidecar_pb2.pyi "$out"/signet/sidecar/v1/sidecar_pb2_grpc.py "$out"/
rm -r "$out"/signet
sed -i 's/^from signet\.sidecar\.v1 import sidecar_pb2 as/from signet_sidecar.gen import sidecar_pb2 as/' "$out"/sidecar_pb2_grpc.py
: > "$out"/__init__.py
