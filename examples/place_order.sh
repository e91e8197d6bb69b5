# The key and the order do not go in as arguments: everybody on a machine can read those of its commands.
exec 3<<KEY
Authorization: Bearer $ORDERCONFIRM_API_KEY
KEY
# An order id of its own: the same one again would be the same order, and send no second mail.
answer=$(sed "s/ORD-12345/ORD-$(date +%s)-$$/" examples/order.json |
    curl --silent --show-error --fail-with-body --max-time 15 --header @/dev/fd/3 \
        --header 'Content-Type: application/json' --data-binary @- \
        "${ORDERCONFIRM_URL:-http://localhost:8000}/api/order-confirmation") || {
    printf '%s' "$answer" >&2
    exit 1
}
printf '%s\n' "$answer"
