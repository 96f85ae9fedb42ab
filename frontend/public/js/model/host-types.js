/** The shapes of what the HTTP API says of hosts: how they are read, what was lost, what it costs. Types only. */

/** @typedef {{name: string, state: string, found: string, remedy: string}} Check state is ok, lacking or missing */

/** @typedef {{tracepoint: string, state: string, detail: string}} Probe state is attached, absent or refused */

/**
 * @typedef {object} Recorded how guest faults are recorded one by one
 * @property {string | null} level none, sample or all
 * @property {number | null} one_in 1: every fault; N: one of N; 0: none; null: a sample of no fixed rate
 * @property {string | null} reason
 * @property {number | null} per_second of a sample: so many of each VM at most
 * @property {number | null} used_percent of a core, where the reason is the budget
 * @property {number | null} granted_percent
 * @property {string} detail the words of a collector of before
 */

/** @typedef {Recorded & {since: string}} Recording */

/**
 * @typedef {object} RecentCost of the last minute; null where there is nothing to divide by
 * @property {number} cpu_percent of one core, the collector's process
 * @property {number | null} program_cpu_percent of one core, its BPF programs
 * @property {number | null} program_ns_per_fault
 * @property {number} resident_bytes
 */

/**
 * @typedef {object} Collector a collector's process, as it tells of itself
 * @property {string} program path of its command, empty where not known
 * @property {string} data_dir
 * @property {boolean} in_container whether these are paths in its container
 * @property {string[]} capabilities those that it holds
 */

/**
 * @typedef {object} Host
 * @property {string} name
 * @property {string} arch
 * @property {string} kernel
 * @property {string} flavour
 * @property {string} state attached, waiting, stopped or replay
 * @property {string} detail
 * @property {Probe[]} probes
 * @property {Check[]} checks
 * @property {Record<string, number>} lost by kind, ever
 * @property {string} collector_version
 * @property {Collector | null} collector null where it does not tell
 * @property {string} last_batch
 * @property {number} age_s seconds since the newest batch
 * @property {string | null} covered_to
 * @property {Recording | null} recording
 * @property {RecentCost | null} cost
 * @property {boolean} is_covering
 */

/**
 * @typedef {object} Finding something that is wrong with how hosts are traced
 * @property {string} code
 * @property {string[]} hosts none where a sender is not known
 * @property {string | null} since
 * @property {string | null} last
 * @property {boolean} is_current whether it goes on
 * @property {number | null} seconds by how much a clock is ahead
 * @property {string | null} token id of the token that was refused
 * @property {string | null} reason why it was refused
 * @property {number | null} times how often
 * @property {string} detail
 */

/**
 * @typedef {object} Status
 * @property {string} version
 * @property {string} database
 * @property {string} now
 * @property {string} started_at
 * @property {boolean} expects_collector
 * @property {boolean} ready
 * @property {string} missing
 * @property {string} news another one where there is a loss or an event of a host that was not there before
 * @property {boolean} asks_for_token whether readers must show a token
 * @property {Finding[]} findings what goes on first
 * @property {number} findings_left_out how many more there are
 * @property {Host[]} hosts of recordings those that were heard of last
 * @property {number} recordings_left_out how many more there are
 */

/**
 * @typedef {object} OfEvent what does not belong to an event's kind and reason is null
 * @property {string} host
 * @property {string} time RFC 3339 with nanoseconds
 * @property {string} kind records, vm_records, attached, taken_over, replaced, stopped, ended_unseen, clock_stepped,
 * times_moved or server_clock_was_ahead
 * @property {string | null} vm whom it is of; null: the whole host, or a VM that only the detail names
 * @property {string | null} vm_name
 * @property {string | null} since
 * @property {string | null} until
 * @property {number | null} clock_set_s by how much the clock was set ahead between these
 * @property {number | null} count so many more VMs ended unseen
 * @property {number | null} shift_s
 * @property {string[]} moved
 * @property {string | null} former_host
 */

/** @typedef {OfEvent & Recorded} HostEvent */

/** @typedef {{items: HostEvent[], next_cursor: string | null}} HostEventPage newest first */

/** @typedef {{total: number, values: (number | null)[]}} LedgerLine one count for each step */

/**
 * @typedef {object} VmLedger seen = counted + uncounted, and recorded + sampled_out + dropped = seen
 * @property {string} vm
 * @property {string} host
 * @property {LedgerLine} seen
 * @property {LedgerLine} counted
 * @property {LedgerLine} uncounted found the map of counts full
 * @property {LedgerLine} recorded
 * @property {LedgerLine} sampled_out
 * @property {LedgerLine} dropped found the ring buffer full
 * @property {number} missing of the VM's whole life: seen, and in batches that are not stored
 * @property {boolean} balanced
 */

/** @typedef {{shipped: number, stored: number, dropped: number, under_way: number}} HostBatches ever */

/**
 * @typedef {object} HostLedger
 * @property {string} host
 * @property {Record<string, LedgerLine>} lost by kind
 * @property {HostBatches} batches
 */

/**
 * @typedef {object} Ledger
 * @property {number} step_ms
 * @property {number[]} times_ms
 * @property {VmLedger[]} vms
 * @property {HostLedger[]} hosts of recordings those that were heard of last
 * @property {number} recordings_left_out how many more there are
 */

export {};
