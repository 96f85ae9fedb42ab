// SPDX-License-Identifier: Apache-2.0
/** Has every fault of a VM recorded for a while: here where its host takes that from the server, else by a command. */

import { el, setChildren, setShown, setText } from "../base/dom.js";
import { recordCommand, recordNote, recordPlace } from "../model/record-command.js";
import { LENGTHS, isOpen, requestSentences } from "../model/record-request.js";
import { copyButton } from "./copy-button.js";

/** @typedef {import("../model/types.js").RecordRequest} RecordRequest */

/**
 * @param {object} actions both resolve to what is wrong, "" where it worked
 * @param {(seconds: number) => Promise<string>} actions.record
 * @param {(request: string) => Promise<string>} actions.withdraw
 */
export function createRecordControl({ record, withdraw }) {
  const length = el(
    "select",
    { "aria-label": "For how long" },
    ...LENGTHS.map(({ seconds, text }) => el("option", { value: seconds }, text)),
  );
  const begin = el("button", { type: "submit", class: "button" }, "Record");
  const form = el("form", { class: "record-form", hidden: true }, "Record every fault of this VM for", length, begin);
  const state = el("span", {});
  const stop = el("button", { type: "button", class: "button", hidden: true }, "Stop");
  const line = el("p", { class: "card-note record-state", hidden: true }, state, stop);
  const problem = el("p", { class: "form-problem", role: "alert", hidden: true });
  const how = el("p", { class: "card-note", hidden: true });
  /** The open request that the button stops. */
  let open = "";
  let shown = "";
  /** Whether the server refused: then the command may do. */
  let isRefused = false;
  /** The command, and whether it is offered in any case. */
  let offer = { command: "", note: "", place: "", isNeeded: false };

  /** @param {HTMLButtonElement} button @param {() => Promise<string>} act */
  async function attempt(button, act) {
    button.disabled = true;
    const wrong = await act();
    button.disabled = false;
    setText(problem, wrong);
    setShown(problem, wrong !== "");
    isRefused = wrong !== "";
    showCommand();
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(begin, () => record(Number(length.value)));
  });
  stop.addEventListener("click", () => attempt(stop, () => withdraw(open)));

  return {
    root: el("div", { class: "record-control" }, form, line, problem, how),
    /**
     * @param {import("../model/types.js").VmDetail} vm
     * @param {readonly RecordRequest[]} requests for it, newest first
     * @param {boolean} isWhole all of its faults in the range are recorded
     */
    update(vm, requests, isWhole) {
      const goesOn = vm.ended_at === null;
      const isHere = goesOn && vm.collector?.takes_requests === true;
      const newest = requests.find(isOpen) ?? requests[0];
      open = newest && isOpen(newest) ? newest.id : "";
      setShown(form, isHere && open === "");
      setShown(stop, open !== "");
      setShown(line, newest !== undefined);
      setText(state, newest ? requestSentences(newest) : "");
      offer = {
        command: goesOn ? recordCommand(vm, vm.collector) : "",
        place: recordPlace(vm.collector),
        note: recordNote(vm.collector),
        isNeeded: !isHere && !isWhole,
      };
      showCommand();
    },
  };

  function showCommand() {
    const { command, place, note, isNeeded } = offer;
    setShown(how, command !== "" && (isNeeded || isRefused));
    if (command === shown) return;
    shown = command;
    const before = `To record every fault of this VM for a minute, ${place}`;
    setChildren(how, before, el("code", {}, command), copyButton(command), note);
  }
}
