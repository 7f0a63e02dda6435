#!/bin/sh
# Generates stubs into gen/ and runs the example. Needed: Go, and buf (that of `npm ci`, or BUF).
set -eu
cd "$(dirname "$0")"
"${BUF:-../../node_modules/.bin/buf}" generate ../../proto --path ../../proto/signet/v1
exec go run .
