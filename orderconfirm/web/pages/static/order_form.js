// The order form: its items, its total and its JSON body. A field's name is its JSON pointer in the body.

const PRICE_PLACES = 6;
const QUANTITY_PLACES = 3;

export const form = document.getElementById("order");
export const fieldOf = (pointer) => form.elements.namedItem(pointer);

const items = document.getElementById("items");
const valueOf = (pointer) => fieldOf(pointer)?.value.trim() ?? "";

// Amounts are BigInts in their smallest unit, because binary floats are inexact.

function toUnits(text, places) {
  const [, sign, whole, decimals = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) ?? ["", "", "0"];
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

function lineTotal(index, places) {
  const price = toUnits(valueOf(`/items/${index}/price`), PRICE_PLACES);
  const product = price * toUnits(valueOf(`/items/${index}/quantity`), QUANTITY_PLACES);
  const divisor = 10n ** BigInt(PRICE_PLACES + QUANTITY_PLACES - places);
  return (product + divisor / 2n) / divisor;
}

function showTotal() {
  const currency = valueOf("/currency").toUpperCase();
  const places = decimalsOf(currency);
  const extra = (pointer) => toUnits(valueOf(pointer), places);
  let total = extra("/shipping_cost") + extra("/tax") - extra("/discount");
  for (let index = 0; index < items.children.length; index++) total += lineTotal(index, places);
  fieldOf("/total").value = toDecimal(total, places);
  document.getElementById("total-currency").textContent = currency;
}

function jsonValue(field) {
  const text = field.value.trim();
  if (!text) return undefined;
  if (field.type === "datetime-local") return `${text.padEnd(19, ":00")}Z`;
  if (field.type === "date") return `${text}T00:00:00Z`;
  const isAmount = field.inputMode === "decimal" || field.type === "output";
  return isAmount && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

function put(body, pointer, value) {
  const steps = pointer.slice(1).split("/");
  const last = steps.pop();
  let holder = body;
  steps.forEach((step, depth) => {
    holder = holder[step] ??= /^\d+$/.test(steps[depth + 1]) ? [] : {};
  });
  if (value !== undefined) holder[last] = value;
}

/** Return the form's order. Empty fields are omitted; amounts that are not numbers are sent as typed. */
export function readOrder() {
  const body = {};
  for (const field of form.elements) {
    if (field.name) put(body, field.name, jsonValue(field));
  }
  return body;
}

function changed() {
  showTotal();
  form.dispatchEvent(new Event("change"));
}

function renumberItems() {
  [...items.children].forEach((row, index) => {
    for (const field of row.querySelectorAll("[name]")) field.name = field.name.replace(/^\/items\/\w+/, `/items/${index}`);
    row.querySelector(".remove").setAttribute("aria-label", `Remove item ${index + 1}`);
  });
  changed();
}

function addItem() {
  items.append(document.getElementById("item-template").content.cloneNode(true));
  renumberItems();
  items.lastElementChild.querySelector("input").focus();
}

function removeItem(row) {
  const neighbour = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  renumberItems();
  (neighbour?.querySelector(".remove") ?? document.getElementById("add-item")).focus();
}

function renewOrderId() {
  fieldOf("/order_id").value = `ORD-${String(Date.now()).slice(-9)}`;
  changed();
}

/** Initialise the form; `onChange` is called now and after each edit. */
export function startForm(onChange) {
  form.addEventListener("input", changed);
  form.addEventListener("change", onChange);
  document.getElementById("new-id").addEventListener("click", renewOrderId);
  document.getElementById("add-item").addEventListener("click", addItem);
  items.addEventListener("click", ({ target }) => target.matches(".remove") && removeItem(target.closest(".item")));
  renewOrderId();
  renumberItems();
}
