// Tabs as WAI-ARIA's authoring practices have them: https://www.w3.org/WAI/ARIA/apg/patterns/tabs/

import { el } from "./dom.js";
import { newId } from "./draw.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1 };

/**
 * Make tabs, whose panels are drawn when they are first seen.
 * @param {string} label What they are, for screen readers.
 * @param {Array<[string, (panel: HTMLElement) => void]>} given Names, and what draws each panel.
 */
export function tabs(label, given) {
  const list = el("div", { role: "tablist", "aria-label": label, className: "in-tabs" });
  const all = given.map(([name, draw]) => {
    const [tabId, panelId] = [newId(), newId()];
    const tab = el("button", { type: "button", role: "tab", id: tabId, "aria-controls": panelId }, name);
    const panel = el("div", { role: "tabpanel", id: panelId, "aria-labelledby": tabId, tabindex: "0" });
    panel.className = "in-panel";
    tab.addEventListener("click", () => select(tab));
    return { tab, panel, draw, drawn: false };
  });

  function select(chosen) {
    for (const each of all) {
      const selected = each.tab === chosen;
      each.tab.setAttribute("aria-selected", `${selected}`);
      each.tab.tabIndex = selected ? 0 : -1;
      each.panel.hidden = !selected;
      if (selected && !each.drawn) {
        each.drawn = true;
        each.draw(each.panel);
      }
    }
  }

  list.addEventListener("keydown", (event) => {
    const here = all.findIndex((each) => each.tab === document.activeElement);
    let next = here + (STEPS[event.key] ?? 0);
    if (event.key === "Home") next = 0;
    if (event.key === "End") next = all.length - 1;
    if (here < 0 || next === here) return;
    event.preventDefault();
    const { tab } = all[(next + all.length) % all.length];
    select(tab);
    tab.focus();
  });

  list.append(...all.map((each) => each.tab));
  select(all[0].tab);
  return [list, ...all.map((each) => each.panel)];
}
