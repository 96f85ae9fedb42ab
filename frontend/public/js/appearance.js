/** Light or dark: the system's choice, the viewer's, or what the address says. */

const KEY = "kvmfaults-theme";
const ORDER = ["", "light", "dark"];

/** What each choice is called. */
export const NAMES = /** @type {Record<string, string>} */ ({ "": "system", light: "light", dark: "dark" });

// Storage may be forbidden; then the choice lives in the address only.
/** @param {string} [theme] */
function stored(theme) {
  try {
    if (theme !== undefined) localStorage.setItem(KEY, theme);
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

/**
 * The theme in use: the address wins over what was chosen before.
 * @param {string} asked
 */
export function themeOf(asked) {
  const theme = asked || stored();
  return ORDER.includes(theme) ? theme : "";
}

/** @param {string} theme */
export function nextTheme(theme) {
  const next = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length] ?? "";
  stored(next);
  return next;
}

/** @param {string} theme */
export function applyTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}
