// The form and its order. A field's name is its JSON pointer in the request body.

import { totalOf } from "./order_total.js";

export const form = document.getElementById("order");
export const fieldOf = (pointer) => form.elements.namedItem(pointer);

const TIME = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d)?)(?:\.0+)?)?(?:Z|\+00:00)?$/i;
const MAX_EXACT_DIGITS = 15; // of a JavaScript number
const ADDRESSES = ["billing_address", "shipping_address"];

const lists = [...form.querySelectorAll("[data-list]")];
const rowsOf = (list) => [...list.querySelectorAll(":scope > .row")];
const fields = () => [...form.elements].filter((field) => field.name.startsWith("/"));
const total = fieldOf("/total");

let notify;

// From the form to an order.

function isNumber(field, text) {
  return field.inputMode === "decimal" && /^-?\d+(\.\d+)?$/.test(text) && text.replace(/\D/g, "").length <= MAX_EXACT_DIGITS;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text; // the service says what is wrong with it
  }
}

function jsonValue(field) {
  const text = field.value.trim();
  if (!text) return undefined;
  if (field.type === "datetime-local") return `${text.padEnd(19, ":00")}Z`;
  if (field.type === "date") return `${text}T00:00:00Z`;
  if (field.type === "select-one") return text === "true";
  if (field.name === "/custom") return parsed(text);
  if (field.name.endsWith("/lines")) return text.split("\n");
  return isNumber(field, text) ? Number(text) : text;
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
  for (const field of fields()) put(body, field.name, jsonValue(field));
  for (const name of ADDRESSES) if (!Object.keys(body[name]).length) delete body[name];
  return body;
}

// From an order to the form.

const valueAt = (order, pointer) => pointer.slice(1).split("/").reduce((holder, step) => holder?.[step], order);

function fillTime(field, text) {
  field.dataset.picker ??= field.type;
  const [, day = "", time = "00:00"] = TIME.exec(text) ?? [];
  const isDay = field.dataset.picker === "date";
  const fits = !text || (day && (!isDay || /^00:00(:00)?$/.test(time)));
  field.type = fits ? field.dataset.picker : "text"; // a picker cannot hold a time with another zone
  field.value = !text || !fits ? text : isDay ? day : `${day}T${time}`;
}

function fillField(field, value) {
  const lines = Array.isArray(value) ? value.join("\n") : value;
  const text = lines !== null && typeof lines === "object" ? JSON.stringify(lines) : String(lines ?? "");
  if (field.dataset.picker || ["date", "datetime-local"].includes(field.type)) fillTime(field, text);
  else field.value = text;
}

/** Show an order in the form. What the form has no field for is left out: the service ignores it. */
export function fillForm(order) {
  if (typeof order !== "object" || order === null || Array.isArray(order)) return;
  const shown = { ...order };
  for (const name of ADDRESSES) if (typeof shown[name] === "string") shown[name] = { lines: shown[name].split("\n") };
  for (const list of lists) {
    const parts = valueAt(shown, list.dataset.list);
    setLength(list, Array.isArray(parts) ? parts.length : 0);
  }
  for (const field of fields()) fillField(field, valueAt(shown, field.name));
  const given = total.value;
  showTotal();
  if (given && Number(given) !== Number(total.value)) keepTotal(given);
}

// The total follows the parts until somebody changes it, and again once it is empty.

function showTotal() {
  delete total.dataset.isKept;
  total.value = totalOf(readOrder());
}

function keepTotal(text) {
  total.dataset.isKept = "yes";
  total.value = text;
}

// Rows.

function setLength(list, length) {
  const rows = rowsOf(list);
  for (const row of rows.slice(length)) row.remove();
  const template = list.querySelector("template").content;
  for (let index = rows.length; index < length; index++) list.append(template.cloneNode(true));
  renumber(list);
}

function renumber(list) {
  rowsOf(list).forEach((row, index) => {
    const name = `${list.dataset.label} ${index + 1}`;
    row.dataset.pointer = `${list.dataset.list}/${index}`;
    row.dataset.label = name;
    row.querySelector(".remove").setAttribute("aria-label", `Remove ${name}`);
    for (const field of row.querySelectorAll("[name]")) {
      field.name = row.dataset.pointer + field.name.slice(field.name.lastIndexOf("/"));
    }
  });
}

function addRow(list) {
  setLength(list, rowsOf(list).length + 1);
  const row = list.lastElementChild;
  const quantity = row.querySelector('[name$="/quantity"]');
  if (quantity) quantity.value = "1";
  row.querySelector("input").focus();
  changed();
}

function removeRow(row) {
  const list = row.parentElement;
  const next = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  renumber(list);
  (next?.querySelector(".remove") ?? form.querySelector(`[data-add="${list.dataset.list}"]`)).focus();
  changed();
}

/** Give the order an id that was not used before. */
export function renewOrderId() {
  fieldOf("/order_id").value = `ORD-${String(Date.now()).slice(-9)}`;
}

function changed() {
  if (!total.dataset.isKept) showTotal();
  notify();
}

function clicked({ target }) {
  if (target.matches(".remove")) removeRow(target.closest(".row"));
  else if (target.dataset.add) addRow(form.querySelector(`[data-list="${target.dataset.add}"]`));
}

/** Call `onChange` after each edit of a field. */
export function startForm(onChange) {
  notify = onChange;
  form.addEventListener("input", ({ target }) => {
    if (!target.name.startsWith("/")) return;
    if (target === total) total.dataset.isKept = "yes";
    changed();
  });
  total.addEventListener("blur", () => {
    if (total.value.trim()) return;
    showTotal();
    changed();
  });
  form.addEventListener("click", clicked);
  document.getElementById("new-id").addEventListener("click", () => {
    renewOrderId();
    changed();
  });
}
