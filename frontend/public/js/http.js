// SPDX-License-Identifier: Apache-2.0
/** The only module that talks to the server: asks, and hears of news. */

/** @typedef {string | number | null | undefined | readonly string[]} Parameter */

/** What the server refused or failed to do. Status 0: it did not answer at all. */
export class ApiError extends Error {
  /** @param {number} status @param {string} title @param {string} detail */
  constructor(status, title, detail) {
    super(detail || title);
    this.name = "ApiError";
    this.status = status;
    this.title = title;
  }
}

const MOST_TRIES = 3;
const EVENTS_RETRY_MS = 15_000;

let serverAheadMs = 0;

/** The server's time now, in UTC ms: counts bear the server's clock, not the viewer's. */
export function now() {
  return Date.now() + serverAheadMs;
}

/**
 * @param {string} path
 * @param {Record<string, Parameter>} [parameters] null and undefined are left out
 * @param {RequestInit} [init]
 * @returns {Promise<any>}
 */
export async function request(path, parameters = {}, init = {}) {
  const url = path + queryOf(parameters);
  let response = await fetched(url, init);
  // Others are served now: asked again when the server says so, and the answer is as good.
  for (let tries = 1; response.status === 503 && response.headers.has("retry-after") && tries < MOST_TRIES; ++tries) {
    await pause(Number(response.headers.get("retry-after")) * 1000, init.signal);
    response = await fetched(url, init);
  }
  noteClock(response.headers.get("date"));
  if (!response.ok) throw await errorOf(response);
  return response.status === 204 ? null : response.json();
}

/**
 * @param {string} url
 * @param {RequestInit} init
 */
async function fetched(url, init) {
  try {
    return await fetch(url, { headers: { accept: "application/json" }, ...init });
  } catch (cause) {
    if (init.signal?.aborted) throw cause;
    throw new ApiError(0, "the server does not answer", "");
  }
}

/**
 * @param {number} ms
 * @param {AbortSignal | null} [signal] ends the pause with its reason
 */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** @param {Record<string, Parameter>} parameters */
function queryOf(parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === null || value === undefined || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, String(one));
  }
  const text = query.toString();
  return text ? `?${text}` : "";
}

// The header has whole seconds, so a difference under that is none.
/** @param {string | null} date */
function noteClock(date) {
  if (!date) return;
  const ahead = Date.parse(date) + 500 - Date.now();
  if (Math.abs(ahead - serverAheadMs) > 1500) serverAheadMs = Math.abs(ahead) > 1500 ? ahead : 0;
}

/** @param {Response} response */
async function errorOf(response) {
  const body = await response.json().catch(() => null);
  return new ApiError(response.status, body?.title ?? `HTTP ${response.status}`, body?.detail ?? "");
}

/**
 * Hear of every batch that the server takes, for as long as the page lives.
 * @param {() => void} onBatch
 */
export function onBatches(onBatch) {
  const source = new EventSource("/api/v1/events");
  source.addEventListener("batch", onBatch);
  source.addEventListener("error", () => {
    // It connects again by itself, but gives up for good on an HTTP error.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => onBatches(onBatch), EVENTS_RETRY_MS);
  });
}
