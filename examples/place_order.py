import json
import os
import sys
import urllib.error
import urllib.request

url = os.environ.get("ORDERCONFIRM_URL", "http://localhost:8000") + "/api/order-confirmation"
headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ.get('ORDERCONFIRM_API_KEY', '')}"}
with open("examples/order.json", "rb") as file:
    request = urllib.request.Request(url, file.read(), headers)
try:
    with urllib.request.urlopen(request, timeout=15) as answer:
        print(json.load(answer)["message"])
except urllib.error.HTTPError as failure:
    problem = json.load(failure)
    sys.exit(f"{problem['detail']} {problem.get('errors', '')}")
