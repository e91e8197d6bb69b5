// A mail in two parts, as large as the service's. The style rules that fill it up are the same in every mail.
"use strict";

const STYLE_BYTES = 9720;

const NAMES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escape = (words) => String(words).replace(/[&<>"']/g, (letter) => NAMES[letter]);
const money = (amount) => `$${amount.toFixed(2)}`;
const date = (moment) =>
  new Date(moment).toLocaleDateString("en-US", { year: "numeric", month: "long", day: "numeric", timeZone: "UTC" });

const RULE = ".cell { margin: 0; padding: 8px 0; font-size: 16px; line-height: 24px; color: #1f2933 }\n";
const STYLE = RULE.repeat(Math.ceil(STYLE_BYTES / RULE.length)).slice(0, STYLE_BYTES);
const CELL = 'style="padding:8px 0;border-bottom:1px solid #e4e7eb;font-size:16px;line-height:24px;color:#1f2933"';

const row = (left, right) => `<tr><td ${CELL}>${left}</td><td align="right" ${CELL}>${right}</td></tr>`;

function html(order) {
  const lines = order.items.map((item) =>
    row(`${escape(item.name)}<br>${item.quantity} × ${money(item.price)}`, money(item.quantity * item.price)),
  );
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Order ${escape(order.order_id)}</title><style>
${STYLE}</style></head>
<body style="margin:0;background:#f5f7fa;font-family:sans-serif">
<table role="presentation" width="600" align="center" style="background:#ffffff;padding:24px">
<tr><td colspan="2"><h1 style="font-size:24px;line-height:32px">Thank you, ${escape(order.customer.name)}</h1></td></tr>
${row("Order", escape(order.order_id))}
${row("Ordered", date(order.order_date))}
${row("Estimated delivery", date(order.estimated_delivery))}
${row("Shipping", escape(order.shipping_method))}
${row("Address", escape(order.customer.address))}
${lines.join("\n")}
${row("Total", money(order.total))}
</table>
</body>
</html>
`;
}

function text(order) {
  const lines = order.items.map((item) => `${item.quantity} × ${item.name}: ${money(item.quantity * item.price)}`);
  return `Thank you, ${order.customer.name}.

Order:              ${order.order_id}
Ordered:            ${date(order.order_date)}
Estimated delivery: ${date(order.estimated_delivery)}
Shipping:           ${order.shipping_method}
Address:            ${order.customer.address}

${lines.join("\n")}

Total: ${money(order.total)}
`;
}

module.exports = { html, text };
