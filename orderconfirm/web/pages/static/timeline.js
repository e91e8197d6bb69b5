// What becomes of a sent order: its state, the steps of its mail and everything that was recorded.

import { byId, element } from "./elements.js";
import { form } from "./order_form.js";
import { request } from "./requests.js";

const FOLLOW_TIMEOUT = 60_000;
const MIN_INTERVAL = 250;
const MAX_INTERVAL = 3000;
const FORBIDDEN = 403; // the token is out of date

const PATH = ["queued", "sending", "sent"];
const FINAL = ["failed", "held", "cancelled", "expired", "bounced", "complained", "rejected", "delivered"];
const WORDS = {
  queued: "is queued",
  sending: "is being sent",
  sent: "was sent",
  unknown: "may have been sent; it is sent again later",
  failed: "could not be sent",
  held: "is held",
  cancelled: "was cancelled",
  expired: "was not sent in time",
  delivered: "was delivered",
  soft_bounced: "was refused for now; the relay tries again",
  bounced: "bounced",
  complained: "was marked as spam",
  rejected: "was not sent on: the relay suppresses the address",
  suspended: "is held by the relay",
};

// A local inbox has the mail at once, and no relay reports a delivery.
const isLocal = Boolean(form.dataset.inbox);
const stateOf = ({ state, delivery }) => delivery ?? state;
const isFinal = (entry) => FINAL.includes(stateOf(entry)) || (isLocal && entry.state === "sent");

function toneOf(state) {
  if (["sent", "delivered"].includes(state)) return "good";
  return ["queued", "sending"].includes(state) ? "busy" : "bad";
}

function timeOf(at) {
  const time = element("time", new Date(at).toLocaleTimeString());
  time.dateTime = at;
  return time;
}

function stepsOf(entry) {
  const state = stateOf(entry);
  const path = isLocal ? [...PATH] : [...PATH, "delivered"];
  if (!path.includes(state)) path.splice(entry.delivery ? 3 : 2, path.length, state);
  const reached = path.indexOf(state);
  const steps = element("ol", "", "steps");
  for (const [index, step] of path.entries()) {
    const isOver = index < reached || (index === reached && isFinal(entry));
    const line = element("li", step.replace("_", " "), index > reached ? "" : isOver ? toneOf(index < reached ? "sent" : state) : "current");
    if (index === reached) line.setAttribute("aria-current", "step");
    steps.append(line);
  }
  return steps;
}

function historyLine({ at, event, stage, code, text, seconds }) {
  const reply = [stage && `${stage}:`, code, text, seconds != null && `(${seconds} s)`].filter(Boolean).join(" ");
  return element("li", [timeOf(at), element("strong", event), element("span", reply, "muted")]);
}

// A relay reports whole seconds: a report is of the end of its second.
function momentOfReport({ at }) {
  const moment = Date.parse(at);
  return moment % 1000 ? moment : moment + 1000;
}

function historyOf({ accepted_at: at, history = [], deliveries = [] }) {
  const events = [
    ...[{ at, event: "accepted" }, ...history].map((event) => [Date.parse(event.at), event]),
    ...deliveries.map((report) => [momentOfReport(report), report]),
  ].sort(([earlier], [later]) => earlier - later);
  return element("ol", events.map(([, event]) => historyLine(event)), "history");
}

function reasonsOf({ reason, waiting }) {
  return [reason && element("p", `${reason}.`, "warning"), waiting && element("p", `Not sent yet: ${waiting}.`)].filter(Boolean);
}

function linkTo(path, text) {
  const link = element("a", text, "button quiet");
  link.href = path;
  return link;
}

function linksOf({ state, message_id: messageId, order_id: orderId }) {
  const { inbox, outbox } = form.dataset;
  const links = [];
  if (inbox && state === "sent") links.push(linkTo(`${inbox}/of/${encodeURIComponent(messageId)}`, "Read the mail"));
  if (outbox) links.push(linkTo(`${outbox}/${encodeURIComponent(orderId)}`, "Open in the outbox"));
  return links.length ? [element("p", links, "actions")] : [];
}

/** Show an order's entry; `remarks` are shown with it. */
function show(entry, remarks) {
  const state = stateOf(entry);
  byId("outcome").dataset.tone = toneOf(state);
  byId("outcome-title").textContent = `The mail of ${entry.order_id} ${WORDS[state]}`;
  const parts = [stepsOf(entry), ...reasonsOf(entry), ...remarks, ...linksOf(entry), historyOf(entry)];
  byId("progress").replaceChildren(...parts);
}

/** Show an accepted order, and follow its mail until its end, a minute at most, or until `signal` aborts. */
export async function follow(accepted, remarks, signal) {
  show(accepted, remarks);
  const url = `${form.action}/${encodeURIComponent(accepted.order_id)}`;
  const end = Date.now() + FOLLOW_TIMEOUT;
  let shown = "";
  let entry = accepted;
  for (let wait = MIN_INTERVAL; Date.now() < end; wait = Math.min(wait * 1.15, MAX_INTERVAL)) {
    await new Promise((resume) => setTimeout(resume, wait));
    const response = await request(url, {}, signal);
    if (signal.aborted) return;
    if (response.status === FORBIDDEN) return byId("progress").append(element("p", response.body.detail, "warning"));
    if (!response.ok) continue;
    entry = response.body;
    // Screen readers would read unchanged content again if it were replaced.
    if (response.text !== shown) show(entry, remarks);
    shown = response.text;
    if (isFinal(entry)) return;
  }
  if (entry.state === "sent") return;
  byId("progress").append(element("p", "No outcome within a minute; this page has stopped checking. The order is stored and its mail is still due."));
}
