/** Whether the newest that was counted may be called what happens now. */

import { STALE_S } from "../base/health.js";

/**
 * Whether a live view's newest covered time is too long ago.
 * @param {readonly import("../base/types.js").Span[]} coverage of the hosts that are looked at
 * @param {Pick<import("./context.js").Request, "view" | "now">} request
 */
export function isStale(coverage, { view, now }) {
  if (view.span === null) return false;
  const last = Math.max(0, ...coverage.map((span) => span.to_ms));
  return now - last > STALE_S * 1000;
}
