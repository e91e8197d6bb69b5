// Medusa 2: copy to src/subscribers/order-confirmation.ts, and set ORDERCONFIRM_URL (the webhook of your shop's profile,
// like https://mail.example/api/webhooks/orders/fjord) and ORDERCONFIRM_WEBHOOK_SECRET (whsec_…).
import type { SubscriberArgs, SubscriberConfig } from "@medusajs/framework"
import { createHmac, randomUUID } from "node:crypto"

export const config: SubscriberConfig = { event: "order.placed" }

const FIELDS = ["id", "display_id", "email", "currency_code", "total", "tax_total", "shipping_total", "discount_total",
  "items.*", "shipping_address.*", "shipping_methods.name"]

export default async function confirm({ event, container }: SubscriberArgs<{ id: string }>) {
  const query = container.resolve("query")
  const { data: [order] } = await query.graph({ entity: "order", fields: FIELDS, filters: { id: event.data.id } })
  const to = order.shipping_address
  const name = [to?.first_name, to?.last_name].filter(Boolean).join(" ") || order.email
  await post({
    order_id: order.id,
    number: String(order.display_id),
    customer: { name, email: order.email, phone: to?.phone },
    currency: order.currency_code.toUpperCase(),
    items: order.items.map((item) => ({ name: item.product_title, variant: item.variant_title,
      quantity: item.quantity, price: String(item.unit_price), image_url: item.thumbnail })),
    shipping_method: order.shipping_methods.map((method) => method.name).join(", "),
    shipping_cost: String(order.shipping_total),
    discount: String(order.discount_total),
    tax: String(order.tax_total),
    total: String(order.total),
    shipping_address: to && { lines: [name, to.company, to.address_1, to.address_2].filter(Boolean),
      city: to.city, region: to.province, postcode: to.postal_code, country: to.country_code?.toUpperCase() },
  })
}

async function post(order: object) {
  const body = JSON.stringify(order)
  const [id, time] = [randomUUID(), Math.floor(Date.now() / 1000)]
  const key = Buffer.from(process.env.ORDERCONFIRM_WEBHOOK_SECRET!.slice("whsec_".length), "base64")
  const signature = createHmac("sha256", key).update(`${id}.${time}.${body}`).digest("base64")
  const headers = { "content-type": "application/json", "webhook-id": id, "webhook-timestamp": String(time),
    "webhook-signature": `v1,${signature}` }
  const response = await fetch(process.env.ORDERCONFIRM_URL!, { method: "POST", headers, body })
  if (!response.ok) throw new Error(`orderconfirm: ${response.status}`) // a retry posts the same order
}
