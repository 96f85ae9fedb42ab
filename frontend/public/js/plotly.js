// SPDX-License-Identifier: Apache-2.0
/** The only module that knows the plotting library: one theme, one way to draw. */

/** @typedef {Record<string, string>} Tokens */

const CONFIG = {
  // Pointer and keys are the page's own (panels/chart.js), so that a redraw each second disturbs neither.
  staticPlot: true,
  displayModeBar: false,
  displaylogo: false,
  responsive: false,
};

/** Settles once the library can draw: its script comes after the page's own. */
export const loaded = new Promise((resolve) => {
  if (document.readyState === "complete") resolve(undefined);
  else window.addEventListener("load", resolve, { once: true });
});

/** What a chart takes from tokens.css, without the "--". */
const COLOURS = [
  "text",
  "text-muted",
  "grid",
  "axis",
  "series-1",
  "series-2",
  "series-3",
  "series-4",
  "series-5",
  "series-6",
  "series-7",
  "series-8",
  "series-rest",
];

/**
 * Read the colours of the theme in use.
 * @returns {Tokens}
 */
export function readTokens() {
  // A custom property reads as it is written, light-dark() and all; only a real property is resolved.
  const probe = document.createElement("span");
  document.body.append(probe);
  const resolved = COLOURS.map((name) => {
    // Of colours that the reader's system forces, the series keep theirs: nothing else distinguishes them.
    probe.style.setProperty("forced-color-adjust", name.startsWith("series") ? "none" : "auto");
    probe.style.color = `var(--${name})`;
    return [name, hexOf(getComputedStyle(probe).color)];
  });
  const font = getComputedStyle(probe).fontFamily;
  probe.remove();
  return { ...Object.fromEntries(resolved), font };
}

/** @param {string} colour "rgb(1, 2, 3)" */
function hexOf(colour) {
  const parts = colour.match(/\d+/g)?.slice(0, 3) ?? [];
  return `#${parts.map((part) => Number(part).toString(16).padStart(2, "0")).join("")}`;
}

/**
 * What all charts have in common.
 * @param {Tokens} tokens
 */
export function theme(tokens) {
  const axis = {
    gridcolor: tokens.grid,
    zeroline: false,
    linecolor: tokens.axis,
    ticks: "",
    fixedrange: true,
    tickfont: { color: tokens["text-muted"], size: 11, family: tokens.font },
    automargin: false,
  };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    showlegend: false,
    hovermode: false,
    font: { family: tokens.font },
    xaxis: { ...axis, showgrid: false, showline: true },
    yaxis: { ...axis, showgrid: true },
  };
}

/**
 * Draw a figure in an element, or bring what it shows up to date. Before the library is there, nothing is drawn.
 * @param {HTMLElement} element
 * @param {import("./charts/rate.js").Figure} figure
 * @param {Tokens} tokens
 */
export function draw(element, figure, tokens) {
  const plotly = /** @type {any} */ (globalThis).Plotly;
  if (!plotly) return;
  const base = theme(tokens);
  const own = /** @type {any} */ (figure.layout);
  const layout = {
    ...base,
    ...own,
    width: element.clientWidth,
    height: element.clientHeight,
    xaxis: { ...base.xaxis, ...own.xaxis },
    yaxis: { ...base.yaxis, ...own.yaxis },
  };
  void plotly.react(element, figure.data, layout, CONFIG);
}
