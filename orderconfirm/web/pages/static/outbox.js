// The outbox's pages: keep themselves up to date, confirm actions in dialogs, retry many mails with progress.

import { morph } from "./morph.js";

const POLL_INTERVAL = 3000;
const MAX_INTERVAL = 30000;

const news = document.getElementById("news");
const notice = document.getElementById("notice");
const regions = document.querySelectorAll("[data-live]");
const openDialog = () => document.querySelector("dialog[open]");

let timer;
let interval = POLL_INTERVAL;

function show(text) {
  notice.hidden = !text;
  notice.textContent = text;
}

/** Replace what has changed, keep the focus, and announce what `data-news` says. */
function update(page) {
  for (const region of regions) {
    const fresh = page.getElementById(region.id);
    const before = region.dataset.news;
    const hadFocus = region.contains(document.activeElement);
    morph(region, fresh);
    if (region.dataset.news !== before) news.textContent = region.dataset.news;
    if (hadFocus && !region.contains(document.activeElement)) region.focus({ preventScroll: true });
  }
}

/** Fetch the page again. Returns false when it makes no sense to go on. */
async function refresh() {
  const url = new URL(location);
  url.searchParams.delete("do");
  url.searchParams.set("part", "live");
  const response = await fetch(url, { cache: "no-store" });
  if (response.redirected) show("The login has ended. Reload the page to log in again.");
  else if (response.status === 503) throw new Error("The outbox cannot be read at the moment.");
  else if (!response.ok) show("This page no longer updates itself. Reload it.");
  else {
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (!openDialog()) update(page);
    show("");
    return true;
  }
  return false;
}

async function poll() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    if (!openDialog() && !(await refresh())) return;
    interval = POLL_INTERVAL;
  } catch (error) {
    interval = Math.min(interval * 2, MAX_INTERVAL);
    show(error instanceof TypeError ? "The service does not respond; this page keeps trying." : error.message);
  }
  clearTimeout(timer);
  timer = setTimeout(poll, interval);
}

/** Retry mails batch by batch. The service returns the number of each and where the next one begins. */
async function retryAll(form) {
  const progress = form.querySelector("progress");
  const body = new FormData(form);
  let count = 0;
  progress.hidden = false;
  form.querySelector("button:not([data-close])").disabled = true;
  do {
    const headers = { Accept: "application/json" };
    const response = await fetch(form.action, { method: "POST", headers, body });
    if (!response.ok || response.redirected) throw new Error("The service refused to go on. Reload the page.");
    const batch = await response.json();
    count += batch.count;
    progress.value = count;
    body.set("after", batch.after ?? "");
  } while (body.get("after") && openDialog());
  return `${count} ${count === 1 ? "mail is" : "mails are"} due now.`;
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) document.getElementById(opener.dataset.dialog).showModal();
  else if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
  else return;
  event.preventDefault();
});

document.addEventListener("submit", async (event) => {
  if (!event.target.matches("[data-batches]")) return;
  event.preventDefault();
  let text;
  try {
    text = await retryAll(event.target);
  } catch (error) {
    text = error instanceof TypeError ? "The service does not respond: some mails may be due already." : error.message;
  }
  openDialog()?.close();
  await poll();
  show(text);
});

document.addEventListener("visibilitychange", poll);
document.querySelector(".flash[tabindex]")?.focus({ preventScroll: true }); // so that a screen reader reads it
for (const dialog of document.querySelectorAll("dialog[open]")) {
  dialog.close();
  dialog.showModal();
}
timer = setTimeout(poll, POLL_INTERVAL);
