// The mail in its frame: its width, light or dark, and a height that follows its content.

import { onChoice } from "./elements.js";

const frame = document.getElementById("mail-frame");
const originals = new WeakMap();
const resizing = new ResizeObserver(fitHeight);

let scheme = "light";

const loaded = new Promise((resolve) => {
  const isLoaded = () => frame.contentDocument?.readyState === "complete" && frame.contentDocument.URL !== "about:blank";
  if (isLoaded()) resolve();
  else frame.addEventListener("load", resolve, { once: true });
});

function fitHeight() {
  const height = frame.contentDocument.documentElement.getBoundingClientRect().height;
  frame.style.height = `${Math.ceil(height)}px`;
}

// The browser tells a frame the scheme of the whole system. So the mail's own media queries are rewritten to match the
// chosen scheme, which shows exactly the rules that a mail program with this scheme would apply.
function applyScheme(rules) {
  for (const rule of rules) {
    if (rule.media) {
      if (!originals.has(rule)) originals.set(rule, rule.media.mediaText);
      rule.media.mediaText = originals
        .get(rule)
        .replace(/\(prefers-color-scheme:\s*(\w+)\)/g, (_, wanted) => (wanted === scheme ? "(min-width: 0px)" : "(max-width: 0px)"));
    }
    if (rule.cssRules) applyScheme(rule.cssRules);
  }
}

function arrange() {
  const mail = frame.contentDocument;
  mail.documentElement.style.colorScheme = scheme;
  frame.style.colorScheme = scheme;
  for (const sheet of mail.styleSheets) applyScheme(sheet.cssRules);
  for (const link of mail.links) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  resizing.disconnect();
  resizing.observe(mail.documentElement);
  fitHeight();
}

/** Show another mail in the frame. No script in it runs: the frame is sandboxed, and its policy allows none. */
export async function showHtml(html) {
  await loaded;
  const mail = frame.contentDocument;
  // The parser of the frame, because that of the page would apply the page's Content-Security-Policy.
  const { documentElement } = new frame.contentWindow.DOMParser().parseFromString(html, "text/html");
  mail.replaceChild(mail.adoptNode(documentElement), mail.documentElement);
  arrange();
}

/** Let the switches set the mail's width and scheme. */
export async function startMailView() {
  await loaded;
  onChoice("width", (width) => frame.parentElement.classList.toggle("phone", width === "phone"));
  onChoice("scheme", (chosen) => {
    scheme = chosen;
    frame.parentElement.classList.toggle("dark", scheme === "dark");
    arrange();
  });
}
