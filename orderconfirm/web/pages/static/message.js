// The mail page: marks the open tab for screen readers, and switches the preview's width.
"use strict";

const tabs = document.querySelectorAll(".tabs a");
const widths = document.querySelector(".widths");
const preview = document.getElementById("preview");

function markOpenTab() {
  for (const tab of tabs) {
    const isOpen = tab.hash === (location.hash || "#html");
    if (isOpen) tab.setAttribute("aria-current", "true");
    else tab.removeAttribute("aria-current");
  }
}

function setWidth(button) {
  preview.classList.toggle("phone", button.dataset.width === "phone");
  for (const each of widths.children) each.setAttribute("aria-pressed", String(each === button));
}

widths.hidden = false;
widths.addEventListener("click", ({ target }) => target.matches("button") && setWidth(target));
window.addEventListener("hashchange", markOpenTab);
markOpenTab();
