// Elements made by the scripts.

export const byId = (id) => document.getElementById(id);

/** Return a new element with a text or child nodes, and a class. */
export function element(tag, content = "", className = "") {
  const created = document.createElement(tag);
  created.append(...[content].flat());
  if (className) created.className = className;
  return created;
}

/** Return the nodes of a text in which names are in backticks. */
export const withCode = (text) => text.split("`").map((part, index) => (index % 2 ? element("code", part) : part));

/** Return the value of a switch: a group of radio buttons. */
export const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;

/** Call `onChange` with a switch's value now and after each change. */
export function onChoice(name, onChange) {
  for (const button of document.querySelectorAll(`input[name="${name}"]`)) {
    button.addEventListener("change", () => onChange(button.value));
  }
  onChange(chosen(name));
}
