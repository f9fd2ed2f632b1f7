// Elements are made by hand: nothing on the page is ever parsed as HTML.

const PROPERTIES = new Set(["value", "checked", "className", "hidden", "disabled", "required", "open", "textContent"]);

/**
 * Make an element.
 * @param {string} tag
 * @param {Record<string, any>} given Attributes; `on…` are listeners, those without a value are left out.
 * @param {...(Node|string)} children
 */
export function el(tag, given = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((each) => each !== null && each !== undefined));
  return node;
}

/** Return the element with an id. */
export const $ = (id) => document.getElementById(id);

/** A button that copies a text, and says so. */
export function copyButton(text, className = "quiet") {
  const label = "Copy";
  const button = el("button", { type: "button", className }, label);
  button.addEventListener("click", async () => {
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(text());
    } catch {
      said = "The browser refused"; // a page over plain HTTP has no clipboard, loopback apart
    }
    button.textContent = said;
    announce(said);
    setTimeout(() => (button.textContent = label), 1500);
  });
  return button;
}

/** Tell whether a key was pressed, and no input method took it for what is being composed. */
export const isKey = (event, key) =>
  event.key === key && !event.isComposing && event.keyCode !== 229; // Safari's comes after the composition's end

/** Have a screen reader say something, once. */
export function announce(text) {
  $("status").textContent = "";
  requestAnimationFrame(() => ($("status").textContent = text));
}

/** Show a notice at the foot of the page until it is closed or, where it is no error, for 6 s. */
export function notify(text, { error = false } = {}) {
  const notice = el("div", { class: error ? "notice bad" : "notice", role: error ? "alert" : "status" });
  const close = el("button", { type: "button", class: "quiet", "aria-label": "Close the notice" }, "✕");
  close.addEventListener("click", () => notice.remove());
  notice.append(el("span", { dir: "auto" }, text), close);
  $("notices").append(notice);
  if (!error) setTimeout(() => notice.remove(), 6000);
}

/** Show a dialog; resolves to what its form was sent with, "" where it was closed. */
export function ask(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answered) =>
    dialog.addEventListener("close", () => answered(dialog.returnValue), { once: true }));
}

/** Ask whether something is to be done that can't be undone. */
export async function confirmed(question, action) {
  $("confirm-question").textContent = question;
  $("confirm-yes").textContent = action;
  return (await ask($("confirm"))) === "yes";
}
