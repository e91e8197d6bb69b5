// The compose page: an order as form or JSON, its mail while it is edited, and what becomes of it once it is sent.

import { byId, element, onChoice, withCode } from "./elements.js";
import { describe, markErrors } from "./field_errors.js";
import { showHtml, startMailView } from "./mail_view.js";
import { showCode, startCode } from "./order_code.js";
import { fillForm, form, readOrder, renewOrderId, startForm } from "./order_form.js";
import { post } from "./requests.js";
import { follow } from "./timeline.js";

const PREVIEW_DELAY = 250;

const samples = JSON.parse(byId("samples").textContent);
const json = byId("json");

let source = "form"; // what holds the order: the form, or the JSON text exactly as it is
let preview = new AbortController();
let following = new AbortController();
let timer;
let isSending = false;

const orderText = () => (source === "json" ? json.value : JSON.stringify(readOrder(), null, 2));

function showEditor(name) {
  for (const part of form.querySelectorAll("[data-editor]")) part.hidden = part.dataset.editor !== name;
  if (name === "code" || name === source) return;
  if (name === "json") json.value = orderText();
  source = name;
  orderChanged(0);
}

function showForm() {
  const button = document.querySelector('input[name="editor"][value="form"]');
  button.checked = true;
  showEditor(button.value);
}

// Problems (RFC 9457), with errors of fields.

function showProblem({ title, detail, errors = [] }) {
  byId("problem").hidden = false;
  byId("problem-title").textContent = title;
  const lines = describe(errors, showForm);
  byId("problem-text").replaceChildren(element("p", detail ?? ""), ...(lines.length ? [element("ul", lines)] : []));
  markErrors(errors);
}

function clearProblem() {
  byId("problem").hidden = true;
  markErrors([]);
}

function remarksOf({ warnings = [], ignored_fields: ignored = [] }) {
  const remarks = [...warnings, ...ignored.map((pointer) => `${pointer.slice(1)} is not a field of an order and was ignored.`)];
  return remarks.map((remark) => element("p", withCode(remark), "warning"));
}

// The mail while the order is edited. The last good one stays while there are errors.

async function refresh() {
  preview = new AbortController();
  const response = await post(`${form.action}/preview`, orderText(), preview.signal);
  if (!response) return; // a newer one is on its way
  byId("mail").classList.toggle("old", !response.ok);
  if (!response.ok) {
    byId("freshness").textContent = "Shows the last valid order";
    showProblem({ ...response.body, detail: response.body.errors ? "" : response.body.detail });
    if (response.retryAfter) timer = setTimeout(refresh, response.retryAfter * 1000);
    return;
  }
  clearProblem();
  const { subject, text, html, size } = response.body;
  byId("freshness").textContent = `${(size.html / 1000).toFixed(1)} kB`;
  byId("subject").textContent = subject;
  byId("mail-text").textContent = text;
  byId("remarks").replaceChildren(...remarksOf(response.body));
  await showHtml(html);
}

function orderChanged(delay = PREVIEW_DELAY) {
  preview.abort();
  clearTimeout(timer);
  timer = setTimeout(refresh, delay);
  showCode(orderText());
}

function jsonChanged() {
  try {
    fillForm(JSON.parse(json.value));
  } catch {
    // Unreadable: the service says where.
  }
  byId("sample").value = "";
  orderChanged();
}

function showSample(name) {
  fillForm(samples[name]);
  renewOrderId();
  json.value = JSON.stringify(readOrder(), null, 2);
  byId("sample").value = name;
  orderChanged(0);
}

// Sending.

function showResponse({ status, text }) {
  byId("response").querySelector("summary").textContent = `Response ${status}`;
  byId("response").querySelector("pre").textContent = JSON.stringify(JSON.parse(text), null, 2);
}

function showAccepted(response) {
  clearProblem();
  byId("outcome").hidden = false;
  showResponse(response);
  follow(response.body, remarksOf(response.body), following.signal);
  byId("outcome-title").focus();
}

async function send() {
  following.abort();
  following = new AbortController();
  preview.abort();
  clearTimeout(timer);
  const response = await post(form.action, orderText());
  if (response.ok) return showAccepted(response);
  byId("outcome").hidden = true;
  showProblem(response.body);
  byId("problem-title").focus();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (isSending) return;
  isSending = true; // the button is not disabled, because it would lose the focus
  byId("send-status").textContent = "Sending…";
  await send();
  byId("send-status").textContent = "";
  isSending = false;
});

function offer(id, values) {
  byId(id).append(...values.map((value) => new Option(value, value)));
}

offer("currencies", Intl.supportedValuesOf("currency"));
offer("zones", Intl.supportedValuesOf("timeZone"));
startForm(() => {
  byId("sample").value = "";
  orderChanged();
});
json.addEventListener("input", jsonChanged);
byId("sample").addEventListener("change", ({ target }) => showSample(target.value));
onChoice("editor", showEditor);
onChoice("part", (name) => {
  for (const part of document.querySelectorAll("[data-part]")) part.hidden = part.dataset.part !== name;
});
startMailView();
startCode();
showSample(byId("sample").options[0].value);
