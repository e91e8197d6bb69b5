import { readFile } from "node:fs/promises";

const { ORDERCONFIRM_URL = "http://localhost:8000", ORDERCONFIRM_API_KEY = "" } = process.env;
const response = await fetch(`${ORDERCONFIRM_URL}/api/order-confirmation`, {
  method: "POST",
  headers: { "Content-Type": "application/json", Authorization: `Bearer ${ORDERCONFIRM_API_KEY}` },
  body: await readFile("examples/order.json"),
  signal: AbortSignal.timeout(15_000),
});
const answer = await response.json();
if (!response.ok) throw new Error(answer.detail, { cause: answer.errors });
console.log(answer.message);
