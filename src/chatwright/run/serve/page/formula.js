// Sets formulas as MathML; loaded when the first one has come.

let loaded;

function temml() {
  loaded ??= new Promise((resolve, reject) => {
    const script = document.createElement("script"); // Temml's small build is no module
    script.src = new URL("./vendor/temml/temml.min.js", import.meta.url);
    script.onload = () => resolve(globalThis.temml);
    script.onerror = () => reject(new Error("Temml can't be loaded"));
    document.head.append(script);
  });
  return loaded;
}

/** Set a formula in an element, which shows its source until then, and for good where it is none. */
export async function set(element, source, display) {
  const { render } = await temml();
  const made = document.createElement("span");
  try {
    render(source, made, { displayMode: display, throwOnError: true, trust: false, maxSize: [20, 500], maxExpand: 500 });
  } catch (error) {
    element.title = `${error.message}`.slice(0, 300);
    element.classList.add("unset");
    return;
  }
  element.replaceChildren(...made.childNodes);
}
