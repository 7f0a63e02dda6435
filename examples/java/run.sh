#!/bin/sh
# Generates stubs into target/, compiles and runs the example. Needed: Java 17 and Maven.
set -eu
cd "$(dirname "$0")"
mvn --quiet --batch-mode compile dependency:build-classpath >&2
exec java -cp "target/classes:$(cat target/classpath)" QaExample
