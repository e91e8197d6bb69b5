# The key goes in by standard input: everybody on a machine can read the arguments of its commands.
answer=$(printf 'Authorization: Bearer %s\n' "$ORDERCONFIRM_API_KEY" |
    curl --silent --show-error --fail-with-body --max-time 15 --header @- \
        --header 'Content-Type: application/json' --data-binary @examples/order.json \
        "${ORDERCONFIRM_URL:-http://localhost:8000}/api/order-confirmation") || {
    printf '%s\n' "$answer" >&2
    exit 1
}
printf '%s\n' "$answer"
