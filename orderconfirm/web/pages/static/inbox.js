// The inbox: fetches its page every two seconds while it is visible, and replaces the list when it has changed.

import "./confirmation.js";

const POLL_INTERVAL = 2000;

const list = document.getElementById("mails");
const news = document.getElementById("news");
const mailCount = () => Number(list.querySelector("[data-count]")?.dataset.count ?? 0);

let timer;
let shown = list.innerHTML;

function replaceList(html) {
  const before = mailCount();
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const same = focused && (focused.href ? `a[href="${CSS.escape(focused.getAttribute("href"))}"]` : `[formaction="${CSS.escape(focused.getAttribute("formaction"))}"]`);
  list.innerHTML = html;
  shown = html;
  if (same) list.querySelector(same)?.focus({ preventScroll: true });
  document.getElementById("delete-all").hidden = !mailCount() || location.search.includes("search=");
  const more = mailCount() - before;
  if (more > 0) news.textContent = more === 1 ? "1 new mail." : `${more} new mails.`;
}

async function refresh() {
  try {
    const response = await fetch(location.href, { cache: "no-store" });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const html = page.getElementById("mails").innerHTML;
    if (html !== shown) replaceList(html);
    else if (news.dataset.lost) news.textContent = "";
    delete news.dataset.lost;
  } catch {
    news.textContent = "The service does not respond; this page keeps trying.";
    news.dataset.lost = "yes";
  }
}

async function poll() {
  clearTimeout(timer);
  if (document.hidden) return;
  await refresh();
  timer = setTimeout(poll, POLL_INTERVAL);
}

document.addEventListener("visibilitychange", poll);
timer = setTimeout(poll, POLL_INTERVAL);
