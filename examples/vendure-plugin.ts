// Vendure 3: add OrderConfirmPlugin to `plugins` of vendure-config.ts, and set ORDERCONFIRM_URL (the webhook of your shop's
// profile, like https://mail.example/api/webhooks/orders/fjord) and ORDERCONFIRM_WEBHOOK_SECRET (whsec_…).
import { OnApplicationBootstrap } from "@nestjs/common"
import { EventBus, Logger, Order, OrderPlacedEvent, OrderService, PluginCommonModule, VendurePlugin } from "@vendure/core"
import { createHmac, randomUUID } from "node:crypto"

@VendurePlugin({ imports: [PluginCommonModule] })
export class OrderConfirmPlugin implements OnApplicationBootstrap {
  constructor(private eventBus: EventBus, private orders: OrderService) {}

  onApplicationBootstrap() {
    this.eventBus.ofType(OrderPlacedEvent).subscribe(async ({ ctx, order }) => {
      try {
        await post(toBody((await this.orders.findOne(ctx, order.id))!, ctx.languageCode))
      } catch (error) {
        Logger.error(`${order.code}: ${error}`, "OrderConfirmPlugin")
      }
    })
  }
}

// Vendure's amounts are whole cents.
const money = (amount: number) => (amount / 100).toFixed(2)

function toBody(order: Order, locale: string) {
  const to = order.shippingAddress
  const { firstName, lastName, emailAddress, phoneNumber } = order.customer!
  return {
    order_id: order.code,
    customer: { name: `${firstName} ${lastName}`.trim() || emailAddress, email: emailAddress, phone: phoneNumber },
    currency: order.currencyCode,
    locale: locale.replace("_", "-"),
    items: order.lines.map((line) => ({ name: line.productVariant.name, sku: line.productVariant.sku,
      quantity: line.quantity, price: money(line.unitPriceWithTax), line_total: money(line.proratedLinePriceWithTax) })),
    shipping_cost: money(order.shippingWithTax),
    tax: money(order.totalWithTax - order.total),
    tax_included: true,
    total: money(order.totalWithTax),
    shipping_address: to.streetLine1 && { lines: [to.fullName, to.company, to.streetLine1, to.streetLine2].filter(Boolean),
      city: to.city, region: to.province, postcode: to.postalCode, country: to.countryCode },
  }
}

async function post(order: object) {
  const body = JSON.stringify(order)
  const [id, time] = [randomUUID(), Math.floor(Date.now() / 1000)]
  const key = Buffer.from(process.env.ORDERCONFIRM_WEBHOOK_SECRET!.slice("whsec_".length), "base64")
  const signature = createHmac("sha256", key).update(`${id}.${time}.${body}`).digest("base64")
  const headers = { "content-type": "application/json", "webhook-id": id, "webhook-timestamp": String(time),
    "webhook-signature": `v1,${signature}` }
  const response = await fetch(process.env.ORDERCONFIRM_URL!, { method: "POST", headers, body })
  if (!response.ok) throw new Error(`orderconfirm: ${response.status}`)
}
