// The sum of an order's parts, in the decimals of its currency. Amounts are BigInts in their smallest unit, because
// binary floats are inexact.

const PRICE_PLACES = 6;
const QUANTITY_PLACES = 3;

function toUnits(value, places) {
  const [, sign, whole, decimals = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(value ?? "") ?? ["", "", "0"];
  return BigInt(sign + whole + decimals.padEnd(places, "0").slice(0, places));
}

function toDecimal(units, places) {
  const digits = String(units < 0n ? -units : units).padStart(places + 1, "0");
  const point = digits.length - places;
  return (units < 0n ? "-" : "") + digits.slice(0, point) + (places ? `.${digits.slice(point)}` : "");
}

function decimalsOf(currency) {
  try {
    return new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;
  } catch {
    return 2;
  }
}

function lineTotal({ price, quantity, line_total: given }, places) {
  if (given !== undefined) return toUnits(given, places);
  const product = toUnits(price, PRICE_PLACES) * toUnits(quantity, QUANTITY_PLACES);
  const divisor = 10n ** BigInt(PRICE_PLACES + QUANTITY_PLACES - places);
  return (product + divisor / 2n) / divisor;
}

/** Return the total of an order's parts as text. */
export function totalOf({ items = [], adjustments = [], currency = "USD", ...order }) {
  const places = decimalsOf(currency);
  const discount = toUnits(order.discount, places);
  let total = toUnits(order.shipping_cost, places) - (discount < 0n ? -discount : discount);
  if (!order.tax_included) total += toUnits(order.tax, places);
  for (const { amount } of adjustments) total += toUnits(amount, places);
  for (const item of items) total += lineTotal(item, places);
  return toDecimal(total, places);
}
