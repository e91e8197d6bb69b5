// Changes a part of the page into a newer one and keeps the nodes that both have, so that focus and selection stay.

/** Children correspond if they have the same `data-key`, else the same name. */
const keyOf = (node) => node.dataset?.key ?? node.nodeName;

export function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  morphChildren(old, fresh);
}

function morphChildren(old, fresh) {
  const keys = new Set([...fresh.childNodes].map(keyOf));
  const keyed = new Map([...old.children].filter((child) => child.dataset.key).map((child) => [child.dataset.key, child]));
  let at = old.firstChild;
  const pass = () => {
    const passed = at;
    at = at.nextSibling;
    keyed.delete(passed.dataset?.key);
    return passed;
  };
  for (const next of [...fresh.childNodes]) {
    const same = keyed.get(next.dataset?.key);
    while (at && (same ? at !== same : !keys.has(keyOf(at)))) pass().remove();
    if (at && keyOf(at) === keyOf(next)) morph(pass(), next);
    else old.insertBefore(next, at);
  }
  while (at) pass().remove();
}
