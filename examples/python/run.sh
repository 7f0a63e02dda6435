#!/bin/sh
# Generates plain stubs into gen/ and runs the example. PYTHON names a Python with the packages of requirements.txt.
set -eu
cd "$(dirname "$0")"
python=${PYTHON:-python3}
mkdir -p gen
"$python" -m grpc_tools.protoc -I ../../proto --python_out=gen --grpc_python_out=gen \
  ../../proto/signet/v1/*.proto ../../proto/google/api/*.proto ../../proto/google/rpc/*.proto
PYTHONPATH=gen exec "$python" qa.py
