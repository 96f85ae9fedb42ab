// SPDX-License-Identifier: Apache-2.0
/**
 * Cards of a VM's page that ask for themselves. One that has nothing to say gives way, and one whose question
 * fails says so in its place: the page goes on without it.
 */

import { el, setShown } from "../../base/dom.js";
import { createMessage } from "../../panels/message.js";
import { CAUSES_CARD } from "./causes-card.js";
import { KVM_STATS_CARD } from "./kvm-stats-card.js";
import { LIVELOCKS_CARD } from "./livelocks-card.js";
import { MEMSLOTS_CARD } from "./memslots-card.js";
import { OUTSTANDING_CARD } from "./outstanding-card.js";
import { PRESSURE_CARD } from "./pressure-card.js";
import { STALL_CARD } from "./stall-card.js";
import { WAITS_CARD } from "./waits-card.js";

/** @typedef {import("../context.js").Context} Context */
/** @typedef {import("../context.js").Request} Request */

/**
 * @template T
 * @typedef {object} Card
 * @property {string} id
 * @property {string} title
 * @property {boolean} [isDetail] it stands below the charts
 * @property {(vm: string, request: Request) => Promise<T>} ask
 * @property {(answer: T) => boolean} isEmpty
 * @property {(context: Context) => {root: HTMLElement, update: (answer: T, request: Request) => void, destroy: () => void}} create
 */

/** In the order in which they stand. @type {readonly Card<any>[]} */
const CARDS = [
  CAUSES_CARD,
  OUTSTANDING_CARD,
  LIVELOCKS_CARD,
  STALL_CARD,
  WAITS_CARD,
  PRESSURE_CARD,
  MEMSLOTS_CARD,
  KVM_STATS_CARD,
];

/** @typedef {{answer: any, error: string}} Asked error "" where there is an answer */
/** @typedef {ReadonlyMap<string, Asked>} CardAnswers by the card's id */

/**
 * Ask what every card asks.
 * @param {string} vm
 * @param {Request} request
 * @returns {Promise<CardAnswers>}
 */
export async function askCards(vm, request) {
  const asked = CARDS.map(async (card) => /** @type {const} */ ([card.id, await askOne(card, vm, request)]));
  return new Map(await Promise.all(asked));
}

/** @param {Card<any>} card @param {string} vm @param {Request} request @returns {Promise<Asked>} */
async function askOne(card, vm, request) {
  try {
    return { answer: await card.ask(vm, request), error: "" };
  } catch (error) {
    // Whoever asks something else meanwhile wants neither.
    if (request.signal.aborted) throw error;
    return { answer: null, error: error instanceof Error ? error.message : String(error) };
  }
}

/** @param {Context} context */
export function createCards(context) {
  const made = CARDS.map((card) => {
    const body = card.create(context);
    const message = createMessage();
    return { card, body, message, root: el("div", { class: "stack", hidden: true }, message.root, body.root) };
  });
  return {
    roots: made.filter(({ card }) => !card.isDetail).map(({ root }) => root),
    details: made.filter(({ card }) => card.isDetail).map(({ root }) => root),
    /** @param {CardAnswers} answers @param {Request} request */
    show(answers, request) {
      for (const { card, body, message, root } of made) {
        const { answer, error } = answers.get(card.id) ?? { answer: null, error: "" };
        const isShown = error === "" && answer !== null && !card.isEmpty(answer);
        message.update(error === "" ? null : { title: card.title, text: `This could not be asked: ${error}.` });
        setShown(body.root, isShown);
        setShown(root, isShown || error !== "");
        if (isShown) body.update(answer, request);
      }
    },
    destroy() {
      for (const { body } of made) body.destroy();
    },
  };
}
