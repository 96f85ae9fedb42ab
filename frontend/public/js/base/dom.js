// SPDX-License-Identifier: Apache-2.0
/** Elements without innerHTML: made from text, changed only where they differ. */

/** @typedef {Node | string | null | undefined | false} Child */

/** @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Attributes */

/**
 * Make an element. Attributes that are functions listen to the event of that name ("click");
 * true sets an empty attribute, false and null none.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children text becomes text nodes
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  assign(element, attributes);
  append(element, children);
  return element;
}

/**
 * Make an SVG element, the same way.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  assign(element, attributes);
  append(element, children);
  return element;
}

/** @param {Element} element @param {Attributes} attributes */
function assign(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else setAttr(element, name, value);
  }
}

/** @param {Element} element @param {Child[]} children */
function append(element, children) {
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/**
 * Set an element's text, touching it only where it differs (a selection survives).
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Set or remove an attribute, touching it only where it differs.
 * @param {Element} element
 * @param {string} name
 * @param {string | number | boolean | null | undefined} value
 */
export function setAttr(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/**
 * Show or hide an element.
 * @param {HTMLElement} element
 * @param {boolean} shown
 */
export function setShown(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

/**
 * Replace an element's children where the new ones differ.
 * @param {Element} element
 * @param {...Child} children
 */
export function setChildren(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/**
 * @template T
 * @typedef {{root: HTMLElement, update: (item: T) => void}} Row a list's element and how it takes a newer value
 */

/**
 * Keep a parent's children equal to a list: rows are kept by key, so focus, hover and selection survive.
 * @template T
 * @param {HTMLElement} parent holds these rows and nothing else
 * @param {(item: T) => string} keyOf unique in the list
 * @param {(item: T) => Row<T>} create
 * @returns {(items: readonly T[]) => void}
 */
export function keyedList(parent, keyOf, create) {
  /** @type {Map<string, Row<T>>} */
  let rows = new Map();
  return (items) => {
    /** @type {Map<string, Row<T>>} */
    const next = new Map();
    for (const item of items) {
      const row = rows.get(keyOf(item)) ?? create(item);
      row.update(item);
      next.set(keyOf(item), row);
    }
    for (const [key, row] of rows) if (!next.has(key)) row.root.remove();
    rows = next;
    placeInOrder(
      parent,
      [...next.values()].map((row) => row.root),
    );
  };
}

// Moving a row drops its focus, so only rows that stand in the wrong place are moved.
/** @param {HTMLElement} parent @param {HTMLElement[]} roots */
function placeInOrder(parent, roots) {
  const focused = document.activeElement;
  let place = parent.firstElementChild;
  for (const root of roots) {
    if (root === place) place = place.nextElementSibling;
    else parent.insertBefore(root, place);
  }
  if (focused instanceof HTMLElement && focused !== document.activeElement && parent.contains(focused)) {
    focused.focus({ preventScroll: true });
  }
}
