// SPDX-License-Identifier: Apache-2.0
/** A time as exact as it is known: to the nanosecond, whose last digits stand back. What is copied has them all. */

import { el } from "../base/dom.js";
import { exactTimeTexts } from "../base/time.js";

/** @param {string} time RFC 3339 with nanoseconds */
export function exactTime(time) {
  const [milliseconds, rest] = exactTimeTexts(time);
  return el("time", { datetime: time, title: time }, milliseconds, el("span", { class: "fine" }, rest));
}
