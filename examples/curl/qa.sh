#!/usr/bin/env bash
# Signet with curl: create, initialize, execute, stream, wrong inputs, a deadline.
set -euo pipefail
url=${SIGNET_URL:-http://127.0.0.1:8080}
: "${SIGNET_KEY:?the API key: npm start shows one}"

# The key stands in a file that only curl reads, not among the arguments, which everybody on the machine can see.
call() { # METHOD PATH BODY [more curl options]: the answer, also where it is an error
  curl --silent --show-error --request "$1" "$url$2" --header 'Content-Type: application/json' --data "$3" "${@:4}" \
    --config <(printf 'header = "Authorization: Bearer %s"\n' "$SIGNET_KEY")
}
field() { # NAME: the first text of that name in the JSON that comes in
  grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4
}

program=$(call POST /v1/programs '{
  "name": "curl example",
  "signatureSpec": "question: str, context: list[str] -> answer: str, confidence: float",
  "adapterType": "python_port"
}')
slug=$(field slug <<<"$program")
echo "created $slug"

status=$(call POST "/v1/programs/$slug:initialize" '{}' | field status)
echo "initialized ${status#PROGRAM_STATUS_}"

inputs='{"inputs": {"question": "Who wrote the first program?", "context": ["Ada Lovelace wrote it."]}}'
result=$(call POST "/v1/programs/$slug:execute" "$inputs")
status=$(field status <<<"$result")
echo "executed ${status#EXECUTION_STATUS_}: $(field answer <<<"$result")"

# Server-sent events: state, token …, result.
call POST "/v1/programs/$slug:stream" "$inputs" --no-buffer | while IFS= read -r line; do
  case $line in event:*) echo "streamed ${line#event: }" ;; esac
done | uniq

# Errors are application/problem+json; `violations` names each field.
problem=$(call POST "/v1/programs/$slug:execute" '{"inputs": {"question": 7}}')
echo "refused $(field reason <<<"$problem")"
grep -o '"field":"[^"]*"' <<<"$problem" | cut -d '"' -f 4 | sort | sed 's/^/  /'

problem=$(call POST "/v1/programs/$slug:execute" "$inputs" --header 'X-Timeout-Ms: 1')
echo "late $(field reason <<<"$problem")"
