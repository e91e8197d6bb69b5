// The errors of an order: a message at each field, and a line in words for the summary.

import { element, withCode } from "./elements.js";
import { fieldOf, form } from "./order_form.js";

/** Return the field or the group that a JSON pointer leads to, or the nearest one around it. */
function targetOf(pointer) {
  for (let path = pointer; path; path = path.slice(0, path.lastIndexOf("/"))) {
    const found = fieldOf(path) ?? form.querySelector(`[data-pointer="${CSS.escape(path)}"]`);
    if (found) return found;
  }
  return null;
}

const isField = (target) => target.matches("input, textarea, select");
const labelOf = (target) => target.dataset.label ?? target.closest(".field").querySelector(".label").firstChild.textContent.trim();

function fullName(target) {
  const group = target.parentElement.closest("[data-pointer][data-label]");
  const isRow = target.matches(".row");
  return group && !isRow ? `${group.dataset.label}, ${labelOf(target)}` : labelOf(target);
}

function mark(field, detail) {
  const message = element("p", withCode(`${labelOf(field)} ${detail}`), "error");
  field.id = `field${field.name.replaceAll("/", "-")}`;
  message.id = `${field.id}-error`;
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", message.id);
  (field.closest(".cells") ?? field.closest(".field")).append(message);
}

function unfold(target) {
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
}

/** Go to the place of an error. */
function visit(target) {
  unfold(target);
  (isField(target) ? target : target.querySelector("input, button"))?.focus();
}

/** Return a list of errors in words. Each leads to its field, once `reveal` has shown the form. */
export function describe(errors, reveal) {
  return errors.map(({ pointer, detail }) => {
    const target = targetOf(pointer);
    if (!target) return element("li", withCode(pointer ? `${pointer.slice(1)} ${detail}` : detail));
    const link = element("button", fullName(target), "link");
    link.type = "button";
    link.addEventListener("click", () => {
      reveal();
      visit(target);
    });
    return element("li", [link, " ", ...withCode(detail)]);
  });
}

/** Mark the fields with these errors, and no others. */
export function markErrors(errors) {
  for (const message of form.querySelectorAll(".error")) message.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    for (const name of ["aria-invalid", "aria-describedby", "id"]) field.removeAttribute(name);
  }
  for (const { pointer, detail } of errors) {
    const target = targetOf(pointer);
    if (!target || !isField(target)) continue;
    mark(target, detail);
    unfold(target);
  }
}
