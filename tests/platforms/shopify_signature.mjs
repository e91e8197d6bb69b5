// Signs and verifies bodies with Shopify's own library: a JSON object per line, in and out.
import "@shopify/shopify-api/adapters/node";
import { createInterface } from "node:readline";
import { ApiVersion, shopifyApi } from "@shopify/shopify-api";
import { createSHA256HMAC, HashFormat } from "@shopify/shopify-api/runtime";

for await (const line of createInterface({ input: process.stdin })) {
  const { body, secret, signature } = JSON.parse(line);
  const settings = { apiKey: "key", hostName: "shop.example", isEmbeddedApp: false, logger: { log: () => {} } };
  const { webhooks } = shopifyApi({ ...settings, apiSecretKey: secret, apiVersion: ApiVersion.January26 });
  const headers = { "x-shopify-hmac-sha256": signature, "x-shopify-topic": "orders/create", "x-shopify-webhook-id": "1" };
  Object.assign(headers, { "x-shopify-api-version": "2026-01", "x-shopify-shop-domain": "fjord.myshopify.com" });
  const { valid } = await webhooks.validate({ rawBody: body, rawRequest: { method: "POST", url: "/", headers } });
  const signed = await createSHA256HMAC(secret, body, HashFormat.Base64);
  console.log(JSON.stringify({ signed, is_valid: valid }));
}
