/**
 * The shapes of the HTTP API that the page reads. Types only: nothing runs here.
 * Words, addresses and exact times are strings, because a JavaScript number loses integers above 2^53.
 */

/**
 * @typedef {object} Vm
 * @property {string} id
 * @property {string} reported_id its id on its host
 * @property {string} name
 * @property {string} uuid
 * @property {string} vmm
 * @property {string} manager
 * @property {string} command
 * @property {string} host
 * @property {string} arch
 * @property {number} pid
 * @property {string} started_at
 * @property {string | null} ended_at
 * @property {string} first_seen
 * @property {string} last_seen
 * @property {number} faults
 * @property {number} memory_fault_exits
 * @property {number} bare_error_exits
 * @property {number} untold_error_exits one of the two, in a recording that does not show which
 * @property {number | null} fault_rate mean per second of covered time, null where none is covered
 * @property {number | null} exit_rate memory-fault exits per second of covered time
 * @property {boolean} running at the range's end
 * @property {number | null} rate_at_end faults per second in the newest covered step, null where that is not known
 */

/** @typedef {Vm & {trend: (number | null)[]}} ListedVm */

/**
 * @typedef {object} VmTotals sums over all VMs that were found
 * @property {number} vms
 * @property {number} running
 * @property {number} hosts
 * @property {number} faults
 * @property {number} memory_fault_exits
 * @property {number} bare_error_exits
 * @property {number} untold_error_exits
 * @property {number | null} rate_at_end
 */

/**
 * @typedef {object} Vcpu
 * @property {number} vcpu
 * @property {number} faults
 * @property {number} memory_fault_exits
 * @property {number} bare_error_exits
 * @property {number} untold_error_exits one of the two, in a recording that does not show which
 */

/**
 * @typedef {object} ExitReason
 * @property {number} reason
 * @property {string} reason_name
 * @property {number} errno
 * @property {string} errno_name
 * @property {number} count
 */

/** @typedef {import("./host-types.js").Collector} Collector */

/** @typedef {Vm & {vcpus: Vcpu[], vcpu_count: number, exit_reasons: ExitReason[], collector: Collector | null}} VmDetail */

/**
 * @typedef {object} VmPage
 * @property {ListedVm[]} items
 * @property {string | null} next_cursor
 * @property {VmTotals} totals
 * @property {number} vms_left_out VMs of the range that were not looked through
 */

/**
 * @typedef {object} Series
 * @property {string} key
 * @property {string} label
 * @property {number[]} counts exact, of each step
 * @property {(number | null)[]} values per second of covered time; null where none of a step was covered
 * @property {number} total exact count over all steps
 */

/** @typedef {{count: number, total: number, counts: number[], values: (number | null)[]}} OtherSeries */

/** @typedef {{host: string, from_ms: number, to_ms: number, is_recording?: boolean}} Span covered time, half-open */

/**
 * @typedef {object} Rates
 * @property {string} version
 * @property {number} step_ms
 * @property {number[]} times_ms start of each step
 * @property {Series[]} series
 * @property {OtherSeries | null} others those beyond the most that were asked for, added up
 * @property {(number | null)[]} quiet values of a series without any count
 * @property {Span[]} coverage
 * @property {number} vms_left_out VMs of the range that were not looked through
 */

/**
 * @typedef {object} FlagCount
 * @property {string} flag
 * @property {number} count
 * @property {"hardware" | "software"} side
 * @property {number | null} bit
 * @property {string} meaning
 */

/** @typedef {{total: number, items: FlagCount[], undefined: FlagCount[], outcomes: FlagCount[]}} Flags */

/**
 * @typedef {object} WordField
 * @property {string} name
 * @property {string} bits "31:26", or the only one
 * @property {number} low
 * @property {number} width
 * @property {string} value hexadecimal
 * @property {string} meaning
 * @property {string} source
 * @property {boolean} proposed
 * @property {boolean} defined false where the manual leaves the bits undefined in this word
 */

/**
 * @typedef {object} DecodedWord
 * @property {string} summary
 * @property {string} access
 * @property {string[]} flags
 * @property {WordField[]} fields
 * @property {number[]} unknown_bits
 */

/**
 * @typedef {object} Syndrome
 * @property {string | null} word hexadecimal
 * @property {string | null} format
 * @property {number} count
 * @property {DecodedWord | null} decoded
 */

/**
 * @typedef {object} SyndromePage most faults first
 * @property {Syndrome[]} items
 * @property {number} words how many different ones the VM's faults had
 * @property {number} count faults with any of them
 * @property {string | null} next_cursor
 */

/**
 * @typedef {object} FoundWord a word in a text
 * @property {string} where what gave it
 * @property {string} target what it is: "x86_64:ept", "exit-reason", "errno", ...
 * @property {string} word hexadecimal
 * @property {string} summary
 * @property {DecodedWord | null} decoded
 */

/** @typedef {{items: FoundWord[], truncated: boolean}} FoundWords truncated: there may be more than these */

/** @typedef {{format: string, word: string, words: Record<string, string>}} RawSyndrome words: the architecture's other */

/**
 * @typedef {object} Exit
 * @property {string} time RFC 3339 with nanoseconds
 * @property {string} vm
 * @property {number} vcpu
 * @property {string} arch
 * @property {"memory_fault" | "bare_error" | "untold_error"} kind
 * @property {number} reason
 * @property {string} reason_name
 * @property {number} errno
 * @property {string} errno_name
 * @property {string | null} gpa the VM's own
 * @property {string | null} l2_address of a guest that the guest runs
 * @property {boolean | null} nested null where not shown
 * @property {number | null} size bytes
 * @property {string[]} flags
 * @property {string | null} flags_raw
 * @property {RawSyndrome | null} syndrome of the fault before it
 */

/** @typedef {{items: Exit[], next_cursor: string | null}} ExitPage */

/**
 * @typedef {object} Fault one guest fault that was recorded
 * @property {string} time RFC 3339 with nanoseconds
 * @property {string} vm
 * @property {number} vcpu
 * @property {string} arch
 * @property {string} access
 * @property {string | null} gpa the VM's own
 * @property {string | null} l2_address of a guest that the guest runs
 * @property {boolean | null} nested null where not shown
 * @property {boolean | null} private
 * @property {number | null} memslot
 * @property {string[]} flags
 * @property {string} summary the word in one line, empty where none was shown
 * @property {number} stands_for
 * @property {Record<string, string>} software what KVM worked out, by the architecture's names
 * @property {RawSyndrome | null} syndrome
 */

/** @typedef {{items: Fault[], next_cursor: string | null}} FaultPage */

/** @typedef {{from: number, to: number}} Range half-open, UTC milliseconds */

export {};
