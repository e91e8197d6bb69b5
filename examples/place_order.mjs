import { readFile } from "node:fs/promises";

const { ORDERCONFIRM_URL = "http://localhost:8000", ORDERCONFIRM_API_KEY = "" } = process.env;
const url = `${ORDERCONFIRM_URL}/api/order-confirmation`;
const order = JSON.parse(await readFile("examples/order.json", "utf8"));
order.order_id = `ORD-${Date.now()}`; // the same one again would be the same order, and send no second mail

function fail(reason) {
  console.error(reason);
  process.exit(1);
}

const response = await fetch(url, {
  method: "POST",
  headers: { "Content-Type": "application/json", Authorization: `Bearer ${ORDERCONFIRM_API_KEY}` },
  body: JSON.stringify(order),
  signal: AbortSignal.timeout(15_000),
}).catch((failure) => fail(`The service does not answer at ${url}: ${failure.cause?.code ?? failure.message}`));
const answer = await response.json();
if (!response.ok) fail(`${answer.detail} ${JSON.stringify(answer.errors ?? [])}`);
console.log(answer.message);
