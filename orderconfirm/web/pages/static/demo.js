// The demo page: sends the form's order as a shop does, but with a CSRF token instead of a key, and follows its mail.

import { fieldOf, form, readOrder, startForm } from "./order_form.js";

const FINAL_STATES = ["sent", "failed", "held", "cancelled", "expired"];
const RESPONSE_TIMEOUT = 30_000;
const FOLLOW_TIMEOUT = 60_000;
const FORBIDDEN = 403; // the token is out of date
const MIN_INTERVAL = 300;
const MAX_INTERVAL = 3000;

// Sent with each request. Pages of other sites can neither read the token nor send the header.
const TOKEN = { "X-CSRFToken": document.querySelector('meta[name="csrf-token"]').content };

const byId = (id) => document.getElementById(id);
const pause = (milliseconds) => new Promise((resume) => setTimeout(resume, milliseconds));

let following = new AbortController();

function element(tag, text = "", className = "") {
  const created = document.createElement(tag);
  created.textContent = text;
  if (className) created.className = className;
  return created;
}

function listOf(lines) {
  const list = element("ul");
  list.append(...lines);
  return list;
}

function showRequest(body, note) {
  const quoted = body.replaceAll("'", "'\\''");
  byId("request-note").textContent = note;
  byId("request-body").textContent = body;
  byId("request-curl").textContent = `${form.dataset.curl} -d '${quoted}'`;
}

const orderText = () => JSON.stringify(readOrder(), null, 2);

// The response: an accepted order, or a problem (RFC 9457) with errors of fields.

function showAccepted({ message, warnings = [], ignored_fields: ignored = [] }) {
  const remarks = [...warnings, ...ignored.map((pointer) => `${pointer} is not a field of an order and was ignored.`)];
  byId("outcome").replaceChildren(element("p", message));
  if (remarks.length) byId("outcome").append(listOf(remarks.map((remark) => element("li", remark, "warning"))));
}

function showProblem(title, detail, errors = []) {
  byId("outcome").replaceChildren(element("h3", title, "badge bad"));
  if (detail) byId("outcome").append(element("p", detail));
  if (errors.length) byId("outcome").append(listOf(errors.map(errorLine)));
}

function errorLine({ pointer, detail }) {
  const line = element("li");
  const field = pointer && fieldOf(pointer);
  const place = element(field ? "a" : "code", pointer || "body");
  if (field) place.href = `#${markField(field, detail)}`;
  line.append(place, ` ${detail}`);
  return line;
}

function markField(field, detail) {
  field.id = `field${field.name.replaceAll("/", "-")}`;
  const row = field.closest(".item");
  const label = row ? `${field.closest("label").querySelector(".label").textContent} ` : "";
  const message = element("p", label + detail, "error");
  message.id = `${field.id}-error`;
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", message.id);
  (row ?? field.closest(".field, .sum")).append(message);
  if (byId("advanced").contains(field)) byId("advanced").open = true;
  return field.id;
}

function clearErrors() {
  for (const message of form.querySelectorAll(".error")) message.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    for (const mark of ["aria-invalid", "aria-describedby", "id"]) field.removeAttribute(mark);
  }
}

// The mail's progress.

function historyLine({ at, event, stage, code, text, seconds }) {
  const line = element("li");
  const time = element("time", new Date(at).toLocaleTimeString());
  time.dateTime = at;
  const reply = [stage && `${stage}:`, code, text, seconds != null && `(${seconds} s)`].filter(Boolean).join(" ");
  line.append(time, element("strong", event), element("span", reply, "muted"));
  return line;
}

function showProgress({ order_id: orderId, state, attempts = 0, history = [] }) {
  const tone = state === "sent" ? "good" : FINAL_STATES.includes(state) ? "bad" : "busy";
  const head = element("p");
  const count = element("span", attempts === 1 ? "1 attempt" : `${attempts} attempts`, "muted");
  head.append(element("span", state, `badge ${tone}`), " ", count);
  const steps = element("ol", "", "history");
  steps.append(...history.map(historyLine));
  byId("progress").replaceChildren(head, steps);
  if (state !== "sent" || !form.dataset.inbox) return;
  const link = element("a", "Read the mail", "button");
  link.href = `${form.dataset.inbox}?search=${encodeURIComponent(orderId)}`;
  byId("progress").append(link);
}

async function readState(orderId, signal) {
  try {
    const response = await fetch(`${form.action}/${encodeURIComponent(orderId)}`, { headers: TOKEN, signal });
    return response.ok || response.status === FORBIDDEN ? await response.json() : null;
  } catch {
    return null;
  }
}

async function follow(orderId, signal) {
  const end = Date.now() + FOLLOW_TIMEOUT;
  let shown = "";
  for (let wait = MIN_INTERVAL; Date.now() < end; wait = Math.min(wait * 1.15, MAX_INTERVAL)) {
    await pause(wait);
    const entry = await readState(orderId, signal);
    if (signal.aborted) return;
    if (!entry) continue;
    if (entry.status === FORBIDDEN) return byId("progress").append(element("p", entry.detail));
    // Screen readers would read unchanged content again if it were replaced.
    if (JSON.stringify(entry) !== shown) showProgress({ ...entry, order_id: orderId });
    shown = JSON.stringify(entry);
    if (FINAL_STATES.includes(entry.state)) return;
  }
  byId("progress").append(element("p", "No outcome within a minute; this page has stopped checking. The order is stored and its mail is still due."));
}

// Sending.

async function post(body) {
  const response = await fetch(form.action, {
    method: "POST",
    headers: { "content-type": "application/json", ...TOKEN },
    body,
    signal: AbortSignal.timeout(RESPONSE_TIMEOUT),
  });
  const text = await response.text();
  showResponse(response, text);
  try {
    return { ok: response.ok, ...JSON.parse(text) };
  } catch {
    return { ok: false, title: `HTTP ${response.status}`, detail: "The response is not JSON, so it did not come from this service." };
  }
}

function showResponse(response, text) {
  byId("response").hidden = false;
  byId("response").querySelector("summary").textContent = `Response ${response.status} ${response.statusText}`.trim();
  try {
    text = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Not JSON: shown unformatted.
  }
  byId("response").querySelector("pre").textContent = text;
}

function clearOutcome() {
  following.abort();
  following = new AbortController();
  clearErrors();
  byId("response").hidden = true;
  byId("progress").replaceChildren();
  byId("outcome").replaceChildren(element("p", "Sending…", "muted"));
}

async function send() {
  const body = orderText();
  clearOutcome();
  showRequest(body, "as it was sent");
  try {
    const response = await post(body);
    if (!response.ok) return showProblem(response.title, response.detail, response.errors);
    showAccepted(response);
    showProgress(response);
    follow(response.order_id, following.signal);
  } catch {
    showProblem("No response", `The service at ${location.host} did not respond. Is it running? Sending the same order again is safe.`);
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("send").disabled = true;
  await send();
  byId("send").disabled = false;
  byId("outcome").scrollIntoView({ block: "nearest" });
});

// On wide screens the request is beside the form, where there is room for it.
byId("request").open = matchMedia("(min-width: 62rem)").matches;

startForm(() => showRequest(orderText(), "as it will be sent"));
byId("send").disabled = false;
