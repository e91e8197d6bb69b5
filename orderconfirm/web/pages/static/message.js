// The mail page: marks the open tab for screen readers.

import "./confirmation.js";
import { startMailView } from "./mail_view.js";

const tabs = document.querySelectorAll(".tabs a");

function markOpenTab() {
  for (const tab of tabs) {
    const isOpen = tab.hash === (location.hash || "#html");
    if (isOpen) tab.setAttribute("aria-current", "true");
    else tab.removeAttribute("aria-current");
  }
}

window.addEventListener("hashchange", markOpenTab);
markOpenTab();
startMailView();
