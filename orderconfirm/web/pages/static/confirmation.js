// Asks before a form with data-confirm is submitted. A button's own words take precedence over its form's.

import { element } from "./elements.js";

function ask(question, action) {
  const dialog = element("dialog", "", "card");
  const title = element("h2", question);
  title.id = "question";
  dialog.setAttribute("aria-labelledby", title.id);
  const choices = element("form", [element("button", action, "danger"), element("button", "Keep", "quiet")], "choices");
  choices.method = "dialog";
  choices.firstChild.value = "yes";
  dialog.append(title, choices);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
  });
}

document.addEventListener("submit", async (event) => {
  const button = event.submitter;
  const question = button?.dataset.confirm ?? event.target.dataset.confirm;
  if (!question || event.target.dataset.isConfirmed) return;
  event.preventDefault();
  if (!(await ask(question, button.title || button.textContent.trim()))) return button.focus();
  event.target.dataset.isConfirmed = "yes";
  event.target.requestSubmit(button);
});
