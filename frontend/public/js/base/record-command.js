/** The command that has every fault of a VM recorded for a while. */

/**
 * @param {Pick<import("./types.js").Vm, "name" | "vmm" | "id">} vm by its own name where it has one, else by its id:
 *   an unknown VMM is named after its process, as others may be
 */
export function recordCommand({ name, vmm, id }) {
  return `kvmfaults-collector record ${quoted(name === vmm ? id : name || id)} --for 60`;
}

// As a shell reads one word.
/** @param {string} text */
function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) && !text.startsWith("-") ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
