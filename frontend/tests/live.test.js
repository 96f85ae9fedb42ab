// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { createRefresh } from "../public/js/live.js";

/** Sends the page the event of a batch, as the server's stream does. */
let send = () => {};
/** Is called at each question. @type {() => void} */
let onQuestion = () => {};
/** Answers the open question. */
let answer = () => {};
let questions = 0;

const browser = /** @type {any} */ (globalThis);
const { setInterval } = browser;

beforeEach(() => {
  browser.EventSource = class {
    /** @param {string} name @param {() => void} listener */
    addEventListener(name, listener) {
      if (name === "batch") send = listener;
    }
  };
  browser.document = { hidden: false, addEventListener() {} };
  // Of what it asks at news alone: it would ask each second as well.
  browser.setInterval = () => 0;
  questions = 0;
  createRefresh({ work, onFailure: () => true, isLive: () => true });
});

afterEach(() => {
  browser.setInterval = setInterval;
});

/** @returns {Promise<void>} */
function work() {
  questions += 1;
  onQuestion();
  return new Promise((resolve) => {
    answer = resolve;
  });
}

/** @returns {Promise<void>} until the next question */
function question() {
  return new Promise((resolve) => {
    onQuestion = resolve;
  });
}

test("news is asked about at once", () => {
  send();
  assert.equal(questions, 1);
});

test("news that comes while a question is open is asked about after its answer", { timeout: 10_000 }, async () => {
  send();
  send();
  assert.equal(questions, 1);
  const next = question();
  answer();
  await next;
  assert.equal(questions, 2);
});

test("news that comes close together is asked about once", { timeout: 10_000 }, async () => {
  send();
  answer();
  await Promise.resolve();
  const next = question();
  send();
  send();
  send();
  await next;
  answer();
  assert.equal(questions, 2);
});
