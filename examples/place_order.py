import json
import os
import sys
import time
import urllib.error
import urllib.request

url = os.environ.get("ORDERCONFIRM_URL", "http://localhost:8000") + "/api/order-confirmation"
headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ.get('ORDERCONFIRM_API_KEY', '')}"}
with open("examples/order.json", encoding="utf-8") as file:
    order = json.load(file)
order["order_id"] = f"ORD-{time.time_ns()}"  # the same one again would be the same order, and send no second mail
request = urllib.request.Request(url, json.dumps(order).encode(), headers)
try:
    with urllib.request.urlopen(request, timeout=15) as answer:
        print(json.load(answer)["message"])
except urllib.error.HTTPError as failure:
    problem = json.load(failure)
    sys.exit(f"{problem['detail']} {problem.get('errors', '')}")
except OSError as failure:
    sys.exit(f"The service does not answer at {url}: {failure}")
