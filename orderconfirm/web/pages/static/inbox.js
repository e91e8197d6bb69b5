// The inbox: asks for its own page every two seconds while it is seen, and swaps the list when it has changed.
"use strict";

const PAUSE = 2000;

const list = document.getElementById("mails");
const news = document.getElementById("news");
const mailCount = () => Number(list.querySelector("[data-count]")?.dataset.count ?? 0);

let timer;
let shown = list.innerHTML;

function swapList(html) {
  const before = mailCount();
  const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  list.innerHTML = html;
  shown = html;
  if (focused) list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  const more = mailCount() - before;
  if (more > 0) news.textContent = more === 1 ? "1 new mail." : `${more} new mails.`;
}

async function look() {
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const html = page.getElementById("mails").innerHTML;
    if (html !== shown) swapList(html);
    else if (news.dataset.lost) news.textContent = "";
    delete news.dataset.lost;
  } catch {
    news.textContent = "The service does not answer; this page keeps trying.";
    news.dataset.lost = "yes";
  }
}

async function keepLooking() {
  clearTimeout(timer);
  if (document.hidden) return;
  await look();
  timer = setTimeout(keepLooking, PAUSE);
}

document.addEventListener("visibilitychange", keepLooking);
timer = setTimeout(keepLooking, PAUSE);
