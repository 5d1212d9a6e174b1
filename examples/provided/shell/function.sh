# A report on the machine that the function sees, and a countdown that is streamed.

handler() {
  local event="$1"
  echo "an event of ${#event} characters" >&2
  case "$event" in
    *'"rawPath":"/report"'*) report ;;
    *'"messageId"'*) records "$event" messageId ;;
    *'"eventSource"'* | *'"EventSource"'*) records "$event" EventSource ;;
    *'"detail-type"'*) printf '{"event": %s}' "$(field "$event" detail-type)" ;;
    *'"fail"'*) echo 'asked to fail' | tee /dev/stderr > /dev/null; return 3 ;;
    *) printf '{"echo": %s}' "$event" ;;
  esac
}

report() {
  printf '{"statusCode": 200, "headers": {"content-type": "application/json"}, "body": "{\\"system\\": \\"%s\\", \\"task\\": \\"%s\\", \\"memory\\": %s}"}' \
    "$(uname -s)" "$LAMBDA_TASK_ROOT" "$AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
}

# How many records there are.
records() {
  printf '{"records": %s}' "$(grep -oi "\"$2\":" <<< "$1" | wc -l)"
}

# A text of the event, in its quotes.
field() {
  sed -n "s/.*\"$2\":\(\"[^\"]*\"\).*/\1/p" <<< "$1"
}

handler_streams() {
  [[ "$1" == *'"routeKey":"GET /countdown/{from}"'* ]]
}

handler_stream() {
  local from
  from="$(field "$1" from | tr -d '"')"
  printf '{"statusCode": 200, "headers": {"content-type": "text/plain"}}\0\0\0\0\0\0\0\0'
  for ((n = from; n > 0; n--)); do
    echo "$n"
    sleep 0.05
  done
  echo 'lift-off'
}
