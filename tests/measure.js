// Measurements of a page for the tests. Loaded into the page together with axe-core.

const AXE_OPTIONS = {
  runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"],
  // The mail is one article in a mail program, which has the landmarks.
  rules: { "landmark-one-main": { enabled: false }, region: { enabled: false } },
};

/** Every visible text, with its font size and the box of each of its lines. */
function visibleTexts() {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) {
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    const boxes = [...range.getClientRects()].filter((box) => box.width && box.height);
    const text = walker.currentNode.data.trim();
    const size = parseFloat(getComputedStyle(walker.currentNode.parentElement).fontSize);
    if (text && boxes.length) texts.push({ text, size, boxes });
  }
  return texts;
}

/** axe-core's violations, and the contrasts that it could not determine. */
async function accessibilityViolations() {
  const { violations, incomplete } = await axe.run(document, AXE_OPTIONS);
  const undetermined = incomplete.filter((rule) => rule.id === "color-contrast");
  return [...violations, ...undetermined].flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html}`));
}

async function contrastViolations() {
  const { violations } = await axe.run(document, { runOnly: { type: "rule", values: ["color-contrast"] } });
  return violations.flatMap((rule) => rule.nodes.map((node) => node.html));
}

function luminance(red, green, blue) {
  const linear = (value) => (value <= 10.31475 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

/** The luminance of the most common colour of some pixels, and the highest WCAG contrast of any other colour with it. */
function contrastOf(pixels) {
  const counts = new Map();
  for (let at = 0; at < pixels.length; at += 4) {
    const colour = (pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2];
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const mostCommon = [...counts].reduce((one, other) => (other[1] > one[1] ? other : one))[0];
  const luminanceOf = (colour) => luminance(colour >> 16, (colour >> 8) & 255, colour & 255);
  const background = luminanceOf(mostCommon);
  const ratios = [...counts.keys()].map((colour) => (luminanceOf(colour) + 0.05) / (background + 0.05));
  return { background, contrast: Math.max(...ratios.map((ratio) => Math.max(ratio, 1 / ratio))) };
}

/** Each visible text's lines measured in a screenshot, which shows the final colours whatever the styles are. */
async function linesInScreenshot(base64) {
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${base64}`)).blob());
  const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d", { willReadFrequently: true });
  canvas.drawImage(image, 0, 0);
  return visibleTexts().flatMap(({ text, boxes }) =>
    boxes.map((box) => ({ text, ...contrastOf(canvas.getImageData(box.x, box.y, box.width, box.height).data) })),
  );
}

function directionsOf(selector) {
  return [...document.querySelectorAll(selector)].map((element) => getComputedStyle(element).direction);
}

/** The distance from each element's right edge to the previous cell, which is on its right. */
function gapsBeforeNeighbours(selector) {
  return [...document.querySelectorAll(selector)].map(
    (cell) => cell.previousElementSibling.getBoundingClientRect().left - cell.getBoundingClientRect().right,
  );
}

/** The distance from each element's text to the right edge of the page. */
function marginsOnTheRight(selector) {
  return [...document.querySelectorAll(selector)].map((element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return Math.round(innerWidth - range.getBoundingClientRect().right);
  });
}

function boxesOf(selector) {
  return [...document.querySelectorAll(selector)].map((element) => element.getBoundingClientRect().toJSON());
}

/** The contrast of an element's background with another colour in it, in a screenshot. */
async function contrastInScreenshot(base64, selector) {
  const box = document.querySelector(selector).getBoundingClientRect();
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${base64}`)).blob());
  const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d", { willReadFrequently: true });
  canvas.drawImage(image, 0, 0);
  return contrastOf(canvas.getImageData(box.x, box.y, box.width, box.height).data).contrast;
}

/** The horizontal positions of the minus and of the first digit of each negative amount. */
function minusAndDigit(selector) {
  const positions = (text) => [/[-\u2212]/, /\d/].map((sign) => leftOf(text, text.data.search(sign)));
  const texts = [...document.querySelectorAll(selector)].map((cell) => cell.firstChild);
  return texts.filter((text) => /[-\u2212]/.test(text.data)).map(positions);
}

function leftOf(text, at) {
  const range = document.createRange();
  range.setStart(text, at);
  range.setEnd(text, at + 1);
  return range.getBoundingClientRect().left;
}
