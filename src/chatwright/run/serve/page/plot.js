// The time between an answer's pieces, as a plot. uPlot is loaded when a plot is first drawn.

import { el } from "./dom.js";
import { duration } from "./draw.js";
import { quantile } from "./trace.js";

const HEIGHT = 200;
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5];
let library = null;

/** Load uPlot, which is no module: it makes a global. */
function uPlot() {
  library ??= new Promise((loaded, failed) => {
    const at = (name) => new URL(`vendor/uplot/${name}`, import.meta.url).href;
    const script = el("script", { src: at("uPlot.iife.min.js"), onload: () => loaded(window.uPlot) });
    script.addEventListener("error", () => failed(new Error("the plot could not be loaded")));
    document.head.append(el("link", { rel: "stylesheet", href: at("uPlot.min.css") }), script);
  });
  return library;
}

/**
 * Draw gaps into an element, and draw them anew when its width or the theme changes.
 * @param {HTMLElement} container
 * @param {number[]} gaps In milliseconds.
 * @returns {() => void} What stops it.
 */
export function gapPlot(container, gaps) {
  const sorted = [...gaps].sort((a, b) => a - b);
  const figures = [["Median", 0.5], ["90 %", 0.9], ["99 %", 0.99], ["Longest", 1]];
  const list = el("dl", { className: "in-figures" });
  for (const [name, share] of figures) {
    list.append(el("div", {}, el("dt", {}, name), el("dd", {}, duration(quantile(sorted, share)))));
  }
  const told = figures.map(([name, share]) => `${name} ${duration(quantile(sorted, share))}`).join(", ");
  const label = `Milliseconds between pieces, by piece: ${gaps.length} gaps. ${told}`;
  const chart = el("div", { className: "in-plot", role: "img", "aria-label": label });
  container.replaceChildren(list, chart);
  if (!gaps.length) {
    chart.replaceWith(el("p", { className: "in-note" }, "There is no gap: the answer came in one piece, or in none."));
    return () => {};
  }
  return followed(chart, gaps);
}

function followed(chart, gaps) {
  let plot = null;
  let stopped = false;
  const draw = (make) => {
    plot?.destroy();
    plot = new make(options(chart), [gaps.map((_, n) => n + 2), gaps], chart);
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const anew = () => plot && library.then(draw);
  const themes = new MutationObserver(anew);
  const fit = () => plot?.setSize({ width: chart.clientWidth, height: HEIGHT });
  const widths = new ResizeObserver(() => requestAnimationFrame(fit)); // outside of what it watches
  uPlot().then((make) => {
    if (stopped) return;
    draw(make);
    widths.observe(chart);
    dark.addEventListener("change", anew);
    themes.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }, (error) => chart.replaceChildren(error.message));
  return () => {
    stopped = true;
    plot?.destroy();
    plot = null;
    widths.disconnect();
    themes.disconnect();
    dark.removeEventListener("change", anew);
  };
}

function options(chart) {
  const style = getComputedStyle(chart);
  const colour = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  const muted = colour("--muted", "#666");
  const grid = { stroke: colour("--line", "#ddd"), width: 1 };
  const axis = { stroke: muted, grid, ticks: { ...grid, size: 4 }, font: `11px ${style.fontFamily}` };
  const accent = colour("--accent", "#06c");
  return {
    width: chart.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: true, y: false }, points: { size: 6 } },
    scales: { x: { time: false }, y: { range: (_, __, max) => [0, Math.max(max * 1.08, 1)] } },
    axes: [{ ...axis, size: 28, incrs: WHOLE }, { ...axis, size: 52, values: (_, ticks) => ticks.map((each) => `${each} ms`) }],
    series: [{}, { stroke: accent, width: 1.25 }],
  };
}
