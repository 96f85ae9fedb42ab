// What the HTTP API answers with, for the type checker alone: never served.
// Made by script/page_types.py from the API's description; a test compares.
// Words, addresses and exact times are strings: a JavaScript number loses integers above 2^53.

/** What the guest wanted, as the architecture derives it from its syndrome. */
export type Access = "read" | "write" | "execute" | "other" | "unknown";

/** That a rule holds, or has held, of a VM or a host. */
export interface Alert {
  rule: string;
  severity: Severity;
  /**
   * `pending`: its rule does not hold for as long yet as it must. What was pending and has not fired is
   * no alert
   */
  state: AlertState;
  host: string;
  /** Null of an alert of the host */
  vm: string | null;
  /** Its name; null of an alert of the host */
  vm_name: string | null;
  /** From when on the rule has held */
  since: string;
  /** When the alert fired; null while it is pending */
  firing_since: string | null;
  /** When that was over; null while it is not */
  resolved_at: string | null;
  /**
   * Why it was resolved. `back`: the value is on the other side of the threshold; `subject_gone`: the VM
   * ended, or the collector was stopped in order; `rule_gone`: the rule was switched off, or is of others
   */
  end: AlertEnd | null;
  /** When it was last known that the rule holds */
  known_at: string;
  /** What the rule watches */
  watch: string;
  /** Of value and threshold; null of what only a later version knows */
  unit: Unit | null;
  comparison: Comparison;
  /** As of `known_at` */
  value: number;
  /** As of `known_at` */
  threshold: number;
  summary: string;
  /**
   * What Alertmanager was sent of it last. `lost`: it was over before that took that it fires, or it did
   * not take for an hour that it is over
   */
  notice: Notice;
  /** When Alertmanager took that; null where it did not */
  notified_at: string | null;
  /** The page that says what to do */
  runbook: string;
}

/** Why an alert that had fired was resolved. */
export type AlertEnd = "back" | "subject_gone" | "rule_gone";

/** Alerts, the newest first. */
export interface AlertPage {
  items: Alert[];
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
  /** When the rules were judged last; null where they never were */
  judged_at: string | null;
  /** Of how many alerts that are kept a notice was lost */
  notices_lost: number;
}

/** What an alert is. */
export type AlertState = "pending" | "firing" | "resolved";

/** A batch was taken. */
export interface Applied {
  /** False where this batch was taken before; then nothing changed */
  applied: boolean;
  /** Parts that could not be stored, where there are any */
  not_stored?: NotStored[];
  /** What is wrong with the host, as `/api/v1/status` has it, where anything is */
  findings?: Finding[];
  /** What the host is asked to record, where anything is */
  record?: RecordOrder[];
}

/** An architecture and its syndrome formats. */
export interface ArchitectureDefinition {
  name: string;
  /** Every `uname -m` that means it */
  machines: string[];
  formats: FormatDefinition[];
}

/** Everything that words are decoded by. */
export interface Architectures {
  items: ArchitectureDefinition[];
  /** Bits of a memory-fault exit's flags */
  exit_flags: FlagDefinition[];
  /** What KVM knew when it handled the fault */
  context: FlagDefinition[];
  /** How a fault ended */
  outcomes: FlagDefinition[];
}

/** What it is that was stored. */
export type ArrivalKind = "exit" | "livelock" | "outstanding" | "resolved" | "not_shown";

/** The state that the whole answer is of: one moment, also where it was put together from many reads. */
export interface AsOf {
  /** By name: the hosts that the question names, or whose VMs it names; else those that were heard of last */
  hosts: NewestBatch[];
  /** How many more hosts there are */
  left_out: number;
}

/** What makes a series of its own. */
export type By = "vm" | "guest" | "vcpu" | "flag" | "access" | "level" | "arch";

/** What was found at the faulting address. What a later version knows is ``UNKNOWN``. */
export type Cause = "no_memslot" | "read_only_memslot" | "not_mapped" | "prot_none" | "pfn_not_writable" | "tmpfs_full" | "file_truncated" | "userfaultfd_gone" | "hwpoison" | "guest_memfd_hole" | "private_shared_mismatch" | "guest_memfd_failed" | "emulation_on_private" | "unsupported_fault_status" | "unknown";

/** Exits of one VM that had one cause. */
export interface CauseOfExits {
  vm: string;
  cause: Cause;
  /** In the range */
  count: number;
  /** Of all time, as `last_at` */
  first_at: string;
  /** RFC 3339 with ns */
  last_at: string;
  /** What was found of the last of them; `not_seen` says what could not be looked at */
  evidence: Record<string, string | number | string[]>;
  /** What it usually means */
  meaning: string;
  /** What to do next */
  next: string;
}

/** Why KVM_RUN failed, most exits first. */
export interface Causes {
  items: CauseOfExits[];
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
  counted: Counted | null;
  /** VMs of the range that were not looked through, as there are too many */
  vms_left_out: number;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** A point that a host's collector looked at. */
export interface Check {
  /**
   * `pins`: counting outlives the collector; `ends`: KVM announces VMs made and gone; `names`: VMMs can
   * be looked at; `sides`: the kernel skips no program; `aside`: batches that were put aside; `looks`,
   * `mappings`, `memslots`, `kvm_counts`: the kernel can be asked about VMs; or what the host waits for
   */
  name: string;
  /** `lacking`: it works without, with less; `missing`: nothing can be traced */
  state: CheckState;
  found: string;
  remedy: string;
}

/** What a point that was looked at means for counting. */
export type CheckState = "ok" | "lacking" | "missing" | "other";

/** What is wrong. */
export type Code = "counted_twice" | "two_names" | "two_machines" | "renamed" | "clock_ahead" | "clock_behind" | "server_clock_ahead" | "server_clock" | "refused" | "job_failed" | "duplicate_guest" | "never_delivered";

/** A collector's process on its host. */
export interface Collector {
  /** Path of its command, empty where not known */
  program: string;
  data_dir: string;
  /** Whether these are paths in its container */
  in_container: boolean;
  /** Those that it holds */
  capabilities: string[];
  /** Whether it records what `/api/v1/vms/{id}/record` asks for */
  takes_requests: boolean;
}

/** On which side of the threshold a rule holds. */
export type Comparison = "above" | "below";

/** What tracing costs, on one grid of steps. */
export interface Costs {
  step_ms: number;
  /** Start of each step, a multiple of the step */
  times_ms: number[];
  /** Those that reported costs, by name */
  hosts: HostCosts[];
  /**
   * Where the range begins before counts are kept in such steps: from when on they are. Steps that begin
   * earlier are null; longer steps may reach further back.
   */
  kept_from_ms: number | null;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
}

/** The range of which counts are: whole buckets of what is kept of it. */
export interface Counted {
  /** null for the beginning */
  from_ms: number | null;
  /** null for the end */
  to_ms: number | null;
}

/** Half-open span in which a host's probes were attached and read. */
export interface CoveredSpan {
  host: string;
  from_ms: number;
  to_ms: number;
  /** Whether the host is a replayed recording: what it does not cover is no gap of the others */
  is_recording: boolean;
}

/** A word as one format reads it; every set bit is in a field or in `unknown_bits`. */
export interface Decoded {
  summary: string;
  access: Access;
  flags: string[];
  /** Fields that are set and say nothing: the manual leaves them undefined in this word */
  undefined: string[];
  fields: WordField[];
  unknown_bits: number[];
}

/** A word, read in each format that was asked for: the word does not show which it is in. */
export interface Decoding {
  arch: string;
  /** That of the first reading */
  word: string;
  readings: Reading[];
}

/** The faults of one VM that wanted the same, and ended in the same way. */
export interface EndedFaults {
  vm: string;
  access: Access;
  outcome: Outcome;
  /** Size of the page that was mapped; null where none was, or it is not shown */
  level: "4k" | "2m" | "1g" | null;
  /** `l2`: of the VM's own guest */
  layer: "l1" | "l2";
  /** Whether the order of events shows it: no event of the kernel says so there */
  derived: boolean;
  count: number;
  /** Of the VM's faults that ended */
  share: number;
}

/** What changed how a host is read, or befell a VM. */
export type EventKind = "records" | "vm_records" | "attached" | "taken_over" | "replaced" | "stopped" | "ended_unseen" | "userfaultfd_closed" | "shed" | "restored" | "clock_stepped" | "times_moved" | "server_clock_was_ahead" | "other";

/** Why a host is read otherwise; an event has one at most. */
export type EventReason = "budget" | "asked_for" | "no_longer_asked_for" | "not_pinned" | "collector_away" | "adopted" | "unreadable" | "unread" | "renamed" | "other_version" | "paused" | "other";

/** One exit with a memory fault, or with a bare error. */
export interface Exit {
  /** RFC 3339 with ns */
  time: string;
  vm: string;
  vcpu: number;
  arch: string;
  /**
   * `unclassified_error`: an unclassified error exit, of a recording whose text leaves out the reason or
   * the errno
   */
  kind: ExitKind;
  reason: number;
  reason_name: string;
  /** Positive; 4294967295 where the recording does not show it */
  errno: number;
  errno_name: string;
  /** The VM's; null where KVM did not report it, or reported a nested guest's */
  gpa: string | null;
  /** Guest-physical address of a guest that the guest runs (L2), else null */
  l2_address: string | null;
  /** Whether a guest of the guest ran (L2); null where the source does not show it */
  nested: boolean | null;
  /** Bytes; null where KVM did not report it */
  size: number | null;
  flags: string[];
  flags_raw: string | null;
  /** Null where the kernel showed no fault before the exit */
  syndrome: RawSyndrome | null;
  /** As in `/api/v1/causes`; null where nobody looked for it, as in recordings */
  cause: Cause | null;
}

/** The ways in which KVM hands a guest memory fault to user space. */
export type ExitKind = "memory_fault" | "bare_error" | "unclassified_error";

/** Exits, newest first. */
export interface ExitPage {
  items: Exit[];
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
  /** Where the range begins before records are kept: from when on they are; null else. */
  kept_from_ms: number | null;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
}

/** Exits to user space with one reason and errno. */
export interface ExitReason {
  reason: number;
  reason_name: string;
  /** Positive; 0 where KVM_RUN succeeded, 4294967295 where it is not shown */
  errno: number;
  errno_name: string;
  count: number;
}

/** One guest fault that was recorded. */
export interface Fault {
  /** RFC 3339 with ns */
  time: string;
  vm: string;
  vcpu: number;
  arch: string;
  access: Access;
  /** The VM's guest-physical address; null where not shown, or where the guest is nested */
  gpa: string | null;
  /** Guest-physical address of a guest that the guest runs (L2), else null */
  l2_address: string | null;
  /** Whether a guest of the guest ran (L2); null where the source does not show it */
  nested: boolean | null;
  /** Whether the access was to private memory; null where not shown */
  private: boolean | null;
  /** KVM's memory slot; null where not shown */
  memslot: number | null;
  /** What the hardware's word says */
  flags: string[];
  /** The word in one line, empty where none was shown */
  summary: string;
  /** Faults of this vCPU since the one recorded before, this one included */
  weight: number;
  /** `weight`, by its former name; the next release leaves it out */
  stands_for: number;
  /**
   * What KVM worked out, by the architecture's names; x86_64: `gfn`, the VM's page frame, and `level` of
   * the mapping (1: 4 KiB, 2: 2 MiB, 3: 1 GiB)
   */
  software: Record<string, string>;
  /** Null where the kernel showed no word */
  syndrome: RawSyndrome | null;
}

/** Guest faults, newest first. */
export interface FaultPage {
  items: Fault[];
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
  /** Where the range begins before records are kept: from when on they are; null else. */
  kept_from_ms: number | null;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
}

/** A field that a word can have. */
export interface FieldDefinition {
  /** Kind of word that has it */
  kind: string;
  name: string;
  bits: string;
  low: number;
  width: number;
  meaning: string;
  /** In which words of the kind it is there, empty where in all */
  when: string;
  /** Meaning by value in hexadecimal, where the field is a code */
  values: Record<string, string>;
  source: string;
  proposed: boolean;
  /** False where the manual leaves these bits undefined, in the words of `when` */
  defined: boolean;
}

/** Something that is wrong with how hosts are traced. */
export interface Finding {
  /**
   * `counted_twice`: two collectors count on one machine under one name, a fault is there twice;
   * `two_names`: one machine is counted under two names; `two_machines`: two machines go by one name;
   * `renamed`: a machine goes by another name than before; `clock_ahead`: a clock is ahead of the
   * server's; `clock_behind`: it is behind the server's, one of the two is wrong; `server_clock_ahead`:
   * the server's clock is ahead of most hosts'; `server_clock`: the server's own clock cannot be right,
   * no batch is taken; `refused`: batches were refused; `job_failed`: what the server does without being
   * asked failed, or was not done for long; `duplicate_guest`: VMs of one UUID, or of one name on a host,
   * run at once for longer than a migration takes; `never_delivered`: there is a token for the host, and
   * no batch of it ever came
   */
  code: Code;
  /** Whom it is about; none where that is the server, or a sender that is not known */
  hosts: string[];
  /** When the server saw it first; null where that is not known */
  since: string | null;
  /** When the server saw it last */
  last: string | null;
  /** Whether it goes on. A refusal does not once its batch is stored */
  is_current: boolean;
  /** By how much a host's clock, or the server's, is ahead or behind */
  seconds: number | null;
  /** The id of the token that was refused */
  token: string | null;
  /** Why it was refused */
  reason: ProblemCode | null;
  /** How often it was refused */
  times: number | null;
  /** Which of the server's `jobs` failed */
  job: string | null;
  /** Of which guest several VMs run at once */
  guest: string | null;
  /**
   * What the newest refusal was answered with; of the server's clock, what to do; of a job, why it
   * failed; else empty
   */
  detail: string;
}

/** Faults of which the syndrome (hardware) or KVM (software) says this. */
export interface FlagCount {
  flag: string;
  count: number;
  side: Side;
  /** The bit's number in the word; null where derived, or not the same in every format */
  bit: number | null;
  meaning: string;
}

/** A flag that is the same on every architecture. */
export interface FlagDefinition {
  flag: string;
  side: Side;
  bit: number | null;
  meaning: string;
}

/** Faults by flag and by outcome. A fault has any number of flags; what never occurred is not listed. */
export interface Flags {
  /** Guest faults within from..to */
  total: number;
  /** Hardware first, each side most first */
  items: FlagCount[];
  /** Bits that were set where the manual leaves them undefined: they are no flags */
  undefined: FlagCount[];
  /** How faults ended, where the kernel shows it; `prefetched` is beside the total */
  outcomes: FlagCount[];
  /**
   * Where counts are not kept of exactly from..to: the range that they are of. What is older than is kept
   * is in none of them. null where they are exactly of from..to.
   */
  counted: Counted | null;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
}

/** VMs that ended long ago, of which nothing is kept but this sum. */
export interface FoldedVms {
  vms: number;
  /** Guest faults that were seen of them, ever; all are in stored batches */
  faults: number;
  /** All of them had ended by then */
  before: string;
}

/** ``json`` is a page of a list with its cursor; the others are files with all of its rows. */
export type Format = "json" | "csv" | "ndjson" | "parquet";

/** A form in which an architecture's word comes. */
export interface FormatDefinition {
  name: string;
  title: string;
  fields: FieldDefinition[];
}

/** A word in a text. */
export interface FoundWord {
  /** From 1 */
  line: number;
  /** What gave it */
  where: string;
  /**
   * What it is: an architecture and format, `exit-reason`, `errno`, `exit` (flags of a memory-fault
   * exit), `address` or `code`
   */
  target: string;
  word: string;
  summary: string;
  /** Null where it is no word of bits */
  decoded: Decoded | null;
}

/** Every word of a text that is known, in order; at most 64. What may be in several formats is in each. */
export interface FoundWords {
  items: FoundWord[];
  /** The text was not looked at to its end: there may be more words */
  truncated: boolean;
}

/** What becomes of the space of what is removed. */
export type FreeSpace = "given_back" | "kept_until_compacted" | "reused";

/** A guest with the totals of all its VMs within from..to. */
export interface Guest {
  /** 16 hexadecimal digits that follow from what identifies it */
  id: string;
  /**
   * `uuid`: wherever it runs; `name`: on one host; `vm`: it is the one VM, of which neither is known, or
   * which ran beside another of the same process
   */
  identified_by: IdentifiedBy;
  /** Empty where none identifies it */
  uuid: string;
  /** Of its newest VM */
  name: string;
  /** Those on which it runs at the range's end, else that of its newest VM */
  hosts: string[];
  /** How many VMs of it existed within from..to */
  vms_count: number;
  /** How many of them run at the range's end: two while it migrates */
  running: number;
  first_seen: string;
  last_seen: string;
  faults: number;
  memory_fault_exits: number;
  bare_error_exits: number;
  /** Either of these two, in a recording that does not show which */
  unclassified_error_exits: number;
  /**
   * Faults per second of its VMs together in the newest covered step of the range; null where none ran,
   * or no host of them was read any more
   */
  rate_at_end: number | null;
}

/** A guest with its VMs, and what happened to it, within from..to. */
export interface GuestDetail {
  /** 16 hexadecimal digits that follow from what identifies it */
  id: string;
  /**
   * `uuid`: wherever it runs; `name`: on one host; `vm`: it is the one VM, of which neither is known, or
   * which ran beside another of the same process
   */
  identified_by: IdentifiedBy;
  /** Empty where none identifies it */
  uuid: string;
  /** Of its newest VM */
  name: string;
  /** Those on which it runs at the range's end, else that of its newest VM */
  hosts: string[];
  /** How many VMs of it existed within from..to */
  vms_count: number;
  /** How many of them run at the range's end: two while it migrates */
  running: number;
  first_seen: string;
  last_seen: string;
  faults: number;
  memory_fault_exits: number;
  bare_error_exits: number;
  /** Either of these two, in a recording that does not show which */
  unclassified_error_exits: number;
  /**
   * Faults per second of its VMs together in the newest covered step of the range; null where none ran,
   * or no host of them was read any more
   */
  rate_at_end: number | null;
  /** Those that run first, each the newest first */
  vms: Vm[];
  /** By number, 1000 at most: of these VMs' vCPUs with that number, the sums */
  vcpus: Vcpu[];
  /** How many vCPUs ever counted, by number */
  vcpu_count: number;
  /** Of these VMs together; most first, 1000 at most */
  exit_reasons: ExitReason[];
  /** Exits whose reasons are not among those */
  exits_of_other_reasons: number;
  /**
   * Where counts are not kept of exactly from..to: the range that they are of. What is older than is kept
   * is in none of them. null where they are exactly of from..to.
   */
  counted: Counted | null;
  /** How many more existed within from..to, of which the totals have nothing */
  vms_left_out: number;
  /** Within from..to, in order */
  events: GuestEvent[];
  /** In order; those that reach into from..to */
  at_once: VmsAtOnce[];
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** Something that happened to a guest. Times are those of the VM's host. */
export interface GuestEvent {
  time: string;
  /**
   * `start`: a VM started, the first or beside another; `restart`: on the host of the one that had ended
   * before; `host_change`: on another host; `move`: a VM ended while one on another host that had started
   * meanwhile goes on, a live migration; `end`: a VM ended
   */
  kind: GuestEventKind;
  /** What it happened to; of a move, the VM that goes on */
  vm: string;
  /** Of that VM */
  host: string;
  /** The VM before it, which has ended */
  from_vm: string | null;
  from_host: string | null;
  /** Of an end or a move: whether the end was seen. If not, this is when the VM was seen last */
  end_seen: boolean;
}

/** What happened to a guest. */
export type GuestEventKind = "start" | "restart" | "host_change" | "move" | "end";

/** Guests in the order that was asked for; else those that run first, each the last seen first. */
export interface GuestPage {
  items: Guest[];
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
  /**
   * Where counts are not kept of exactly from..to: the range that they are of. What is older than is kept
   * is in none of them. null where they are exactly of from..to.
   */
  counted: Counted | null;
  /**
   * VMs of the range that were not looked through, as there are too many. A shorter range, or `host`,
   * leaves out fewer.
   */
  vms_left_out: number;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** The server answers. */
export interface Health {
  status: "ok" | "ready";
}

/** A host as its newest batch described it. */
export interface Host {
  name: string;
  arch: string;
  boot_id: string;
  kernel: string;
  /** The KVM implementation */
  flavour: string;
  /** `waiting`: something is missing; `replay`: it is a recording */
  state: HostState;
  /** What is missing or lacking, in a line, as `checks` say by fields; of a recording, what it is of */
  detail: string;
  /** None of a collector of an earlier release, but pins and ends */
  checks: Check[];
  collector_version: string;
  probes: Probe[];
  /** Null where none is reported: a recording has none */
  collector: Collector | null;
  /** Everything that could not be kept, by kind, ever */
  lost: Record<string, number>;
  /** When the server took the newest batch */
  last_batch: string;
  /** Seconds since then */
  age_s: number;
  /** End of the covered time */
  covered_to: string | null;
  /**
   * The newest time of its newest batch, less when the server took it: its clock is ahead by what is more
   * than 0; less than 0 is also the time that the batch was under way
   */
  clock_offset_s: number | null;
  /** Null where the collector never said */
  recording: Recording | null;
  /** Null where none was reported in the last minute */
  cost: RecentCost | null;
  /** Whether the probes are attached and read at this moment */
  is_covering: boolean;
}

/** What became of a host's batches, ever: shipped = stored + dropped + under_way. */
export interface HostBatches {
  /** Up to the newest of each stream that is known */
  shipped: number;
  stored: number;
  /** By the collector's spool, as it reported */
  dropped: number;
  /** The rest: in the spool, or dropped and not yet reported */
  under_way: number;
}

/** A host's costs over time; null where no cost was reported, or there is nothing to divide by. */
export interface HostCosts {
  host: string;
  /** Of one core, the collector's process */
  cpu_percent: (number | null)[];
  /** Of one core, its BPF programs; they run in the vCPUs' own time */
  program_cpu_percent: (number | null)[];
  /** Time of the BPF programs for each fault, in the part of the step that was measured */
  program_ns_per_fault: (number | null)[];
  program_ns_per_run: (number | null)[];
  /** The most that the collector's process had */
  resident_bytes: (number | null)[];
}

/**
 * Something that changed how a host is read, or that befell a VM. What does not belong to its kind and
 * reason is null.
 */
export interface HostEvent {
  host: string;
  /** RFC 3339 with ns */
  time: string;
  /**
   * `records`: faults are recorded as `level` says from now on; `vm_records`: those of `vm`; `attached`:
   * a new counting begins; `taken_over`: one goes on that an earlier collector left; `replaced`: one was
   * ended for another; `stopped`; `ended_unseen`: `vm` ended while no collector ran, between `since` and
   * `until`; `userfaultfd_closed`: a userfaultfd was closed while a vCPU of `vm` waited for a page, which
   * it then read as zeros; `shed`: `hook` is not read from now on, since it takes more of a core than is
   * granted; `restored`: it is again; `clock_stepped`: the host's times are set back by `shift_s` from
   * now on; `times_moved`: impossible times were moved, of what `moved` says; `server_clock_was_ahead`:
   * what the server received then is dated anew
   */
  kind: EventKind;
  /** The VM that it is about; null: the whole host, or a VM that only `detail` names */
  vm: string | null;
  /** That VM's name, empty where it has none */
  vm_name: string | null;
  /** What is recorded from then on */
  level: RecordingLevel | null;
  /**
   * 1: every fault is recorded; N: one of N; 0: none; null: a sample of no fixed rate, or an event that
   * does not say
   */
  one_in: number | null;
  /**
   * `budget`: the CPU time that the collector used; `asked_for`, `no_longer_asked_for`: a VM's faults;
   * `not_pinned`: counting ends with the collector; `collector_away`: counting went on while none ran;
   * `adopted`: and the data directory of the one that began it is gone; `unreadable`: it could not be
   * read; `unread`: nobody read it since `since`; `renamed`: it counted for `former_host`;
   * `other_version`: its last counts were read, each vCPU's may be one too high; `paused`: it had been
   * stopped
   */
  reason: EventReason | null;
  /** Of a sample: so many faults of each VM at most */
  per_second: number | null;
  /** Of a core, with reason `budget`, or of `hook` */
  used_percent: number | null;
  /** Of a core, with reason `budget`, or of `hook` */
  granted_percent: number | null;
  since: string | null;
  until: string | null;
  /** The host's clock was set ahead by so much between `since` and `until` */
  clock_set_s: number | null;
  /** So many more VMs ended unseen */
  count: number | null;
  /** 0: times are no longer set back. Of `server_clock_was_ahead`: by so much */
  shift_s: number | null;
  moved: TimesOf[];
  former_host: string | null;
  /** A tracepoint */
  hook: string | null;
  /**
   * Words of the kernel or of another program; all that there is of what a collector of an earlier
   * release reported
   */
  detail: string;
}

/** Events of hosts, newest first. */
export interface HostEventPage {
  items: HostEvent[];
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
}

/** What a host lost, and what became of its batches. */
export interface HostLedger {
  host: string;
  /** Covered time of each step */
  covered_ms: number[];
  /** Losses by kind; a kind that never occurred is not there */
  lost: Record<string, LedgerLine>;
  batches: HostBatches;
  /** Null where there are none */
  folded: FoldedVms | null;
  /** Whether each batch that is known of is stored, and nothing that was found leaves it open */
  balanced: boolean;
  /** What was found of the host, as in the status */
  findings: Code[];
}

/** How long the VMs of a host stood still, taken together. */
export interface HostPressure {
  host: string;
  /** At least one vCPU was asleep in a fault */
  some: PressureOf;
  /** And no other ran */
  full: PressureOf;
  /**
   * Where the averages end, UTC ms: the newest second that was read whole; null where the host was not
   * read at the range's end any more
   */
  at_ms: number | null;
}

/** What a host's collector is about. */
export type HostState = "attached" | "waiting" | "stopped" | "replay" | "other";

/** What identifies a guest. */
export type IdentifiedBy = "uuid" | "name" | "vm";

/** What the server does without being asked, on one of the servers that share the database. */
export interface JobRun {
  name: string;
  /** When a run ended last; null where none did yet */
  last: string | null;
  /** How long that run took */
  took_s: number | null;
  /** Whether a server is at it */
  running: boolean;
  /** Whether that run failed, or the server that was at it since is gone */
  failed: boolean;
  /** Why; else empty */
  detail: string;
}

/** One of KVM's counts, and ours beside it. */
export interface KvmCount {
  /** As in KVM's statistics (arch/x86/include/asm/kvm_host.h, kvm_vcpu_stat) */
  name: string;
  kvm: number;
  /** Null where there is no count of ours beside it */
  ours: number | null;
  /** How much more KVM counted */
  difference: number | null;
  same_meaning: boolean;
  /** Why they may differ; null where they do not */
  why: string | null;
}

/** What KVM itself counted of VMs, by their ids: of x86 alone, as other architectures count none of it. */
export interface KvmStats {
  items: VmKvmStats[];
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
  counted: Counted | null;
  /** VMs of the range that were not looked through, as there are too many */
  vms_left_out: number;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** The ledger on one grid of steps. */
export interface Ledger {
  step_ms: number;
  /** Start of each step, a multiple of the step */
  times_ms: number[];
  /** Most seen first */
  vms: VmLedger[];
  /** Null where every VM is listed */
  others: OtherVmLedgers | null;
  /** By name; where no host is asked for, of recordings those that were heard of last */
  hosts: HostLedger[];
  /** How many more recordings there are; `host` asks for one */
  recordings_left_out: number;
  /**
   * Where the range begins before counts are kept in such steps: from when on they are. Steps that begin
   * earlier are null; longer steps may reach further back.
   */
  kept_from_ms: number | null;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** One figure of the ledger over time. */
export interface LedgerLine {
  /** Over all steps */
  total: number;
  /** Count of each step; null where none of it was covered and nothing came */
  values: (number | null)[];
}

/** A VM of a list. */
export interface ListedVm {
  id: string;
  /** What its host calls it: the same, but where another host's VM had this id first */
  reported_id: string;
  /** The guest that it is a life of, from `/api/v1/guests` */
  guest: string;
  /** As the VMM reports, else empty */
  name: string;
  uuid: string;
  /** Kind of VMM, else its process's name */
  vmm: string;
  /** What runs the VMM, where that shows */
  manager: string;
  /** The VMM's command line */
  command: string;
  host: string;
  arch: string;
  /** The VMM's process id on its host */
  pid: number;
  started_at: string;
  ended_at: string | null;
  first_seen: string;
  last_seen: string;
  faults: number;
  memory_fault_exits: number;
  bare_error_exits: number;
  /** Either of these two, in a recording that does not show which */
  unclassified_error_exits: number;
  /** Per second of covered time, null where none was covered */
  fault_rate: number | null;
  /** Memory-fault exits per second of covered time */
  exit_rate: number | null;
  /** Whether it had not ended at the range's end */
  running: boolean;
  /**
   * Faults per second in the newest covered step of the range; null where the VM had ended, or its host
   * was not read any more
   */
  rate_at_end: number | null;
  /** Faults per second of covered time in each step of the page's trend; empty without `trend` */
  trend: (number | null)[];
  /** Former name of `unclassified_error_exits`; the next release leaves it out */
  untold_error_exits: number;
}

/** A vCPU that faulted on the same page again and again, with nothing mapped that stayed. */
export interface Livelock {
  vm: string;
  vcpu: number;
  /** Guest-physical address; null where not shown */
  gpa: string | null;
  /** Guest-virtual address; null where not shown */
  gva: string | null;
  /** When the first of its faults was */
  since: string;
  /** When the last of them was; null where the vCPU had not gone on when it was seen last */
  until: string | null;
  /** When the last of its faults was that was seen */
  seen_at: string;
  faults: number;
  /** Of the instruction that faults; null where not shown */
  pc: string | null;
  /** Of the syndrome; null where none was shown */
  format: string | null;
  /** The hardware's raw word */
  syndrome: string | null;
  decoded: Decoded | null;
  /** KVM's `mmu_invalidate_seq`, how often the host has taken back memory of the VM; null where not shown */
  invalidate_seq: number | null;
  /** Whether the host was taking back memory; null where not shown */
  invalidating: boolean | null;
}

/** Livelocks, newest first. */
export interface LivelockPage {
  items: Livelock[];
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
  /** VMs of the range that were not looked through, as there are too many */
  vms_left_out: number;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** What was seen and could not be kept. */
export type LossKind = "keys_full" | "unattributed" | "missed_runs" | "unread_vcpus" | "unbalanced" | "exit_records" | "stalls_full" | "waits_full" | "spool_batches" | "costs" | "trace_lines" | "trace_events" | "other";

/** By which events a host's stalls are measured, as its newest batch says. */
export interface MeasuredBy {
  host: string;
  begins: string | null;
  /** `kvm_entry`: the guest went on; `kvm_mmu_spte_requested`: its page was mapped */
  ends: string | null;
  /** Whether it shows when vCPUs are asleep */
  blocked: boolean;
}

/** A memslot as it was from `from` until `to`. */
export interface Memslot {
  vm: string;
  /** On x86, 1 is that of system management mode */
  address_space: number;
  slot: number;
  gpa: string;
  /** Bytes */
  size: number;
  /** `log_dirty_pages`, `read_only`, `guest_memfd`; others as their bit, `0x8` */
  flags: string[];
  host_address: string;
  /**
   * What is mapped there: `anonymous`, `file`, `hugetlb`, `memfd`, `guest_memfd`, `device`, `none`, or
   * `mixed`; null where that could not be seen
   */
  backing: string | null;
  /** Null where there is none */
  file: string | null;
  /** In the file, bytes */
  offset: number | null;
  /** Whether it has one for private memory */
  guest_memfd: boolean;
  /** As in /proc/PID/maps; of several mappings, theirs. Null where not known */
  permissions: string | null;
  /** Whether another process provides its pages; null where not known */
  userfaultfd: boolean | null;
  /** When it was seen so first: by then it may have been so */
  from: string;
  /** When it was seen otherwise; null where it still is so */
  to: string | null;
}

/** Memslots, by VM, address space, slot and time. */
export interface MemslotPage {
  items: Memslot[];
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
  /** VMs of the range that were not looked through, as there are too many */
  vms_left_out: number;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** What is counted. */
export type Metric = "faults" | "memory_fault_exits" | "bare_error_exits" | "unclassified_error_exits";

/** The newest batch of a host that the answer knows of. */
export interface NewestBatch {
  host: string;
  /** The host's newest: a collector begins another with each start */
  stream: string;
  /** The greatest number in that stream. One before it may still be under way. */
  batch: number;
  /**
   * Another one after each batch of the host, late ones too, and after each removal: where it is the same
   * in two answers, they are of the same state of this host
   */
  changes: number;
  /** End of the covered time; null where none was covered */
  covered_to: string | null;
}

/** A part of a batch that could not be stored, and counts as lost. */
export interface NotStored {
  /** `exits` are records of exits, which are counted */
  what: "costs" | "exits";
  /** The VM, as its host reports it; left out where it is of no VM */
  vm?: string;
  count: number;
}

/** What was sent outside of an alert. */
export type Notice = "none" | "firing" | "resolved" | "lost";

/** Series beyond the most that were asked for, added up. */
export interface OtherSeries {
  /** How many */
  count: number;
  /** Exact count over the steps given */
  total: number;
  /**
   * Exact count of each step. Of level `none` below 0 where faults were mapped that began in an earlier
   * step: the sum over both is right
   */
  counts: number[];
  /** Per second of time that any host covered */
  values: (number | null)[];
}

/** What became of the guest faults of VMs that are not listed one by one, over all steps. */
export interface OtherVmLedgers {
  /** How many VMs */
  count: number;
  seen: number;
  counted: number;
  uncounted: number;
  recorded: number;
  sampled_out: number;
  dropped: number;
  /** Of the VMs' whole lives */
  missing: number;
  /** Whether all of them are */
  balanced: boolean;
}

/** What KVM did about a guest fault. One that a later version knows is read as ``UNKNOWN``. */
export type Outcome = "unknown" | "mapped_4k" | "mapped_2m" | "mapped_1g" | "mapped" | "fast" | "spurious" | "write_protected" | "mmio" | "emulated" | "retried" | "exit" | "access_flag" | "nisv" | "reflected" | "resumed" | "async";

/** How faults ended, by VM, access and outcome. */
export interface Outcomes {
  /** The most first */
  items: EndedFaults[];
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
  /** Faults that ended: those of all items, and `uncounted` */
  ended: number;
  /** Ended, and it is not known how: the map of stalls was full */
  uncounted: number;
  /**
   * Seen, and not seen to end: open at the end of the range, or not measured; below 0 where more ended
   * that had begun before the range. Null where no stall was measured.
   */
  not_ended: number | null;
  measured_by: MeasuredBy[];
  counted: Counted | null;
  /** VMs of the range that were not looked through, as there are too many */
  vms_left_out: number;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** A fault that has begun and not ended; its vCPU stands still. */
export interface Outstanding {
  vm: string;
  /** Of the VM */
  name: string;
  host: string;
  vcpu: number;
  /** Guest-physical address; null where not shown */
  gpa: string | null;
  /** Guest-virtual address; null where not shown */
  gva: string | null;
  /**
   * For how long the vCPU has stood still by now. Where `handler` is `closed`, how long ago the
   * userfaultfd was closed. Where `is_stale`, by `seen_at`
   */
  age_s: number;
  /** As of `/api/v1/waits`; null where the kernel does not show it */
  waits_for: WaitsFor | null;
  /** Of `lock`, the function that takes it; else empty */
  detail: string;
  /**
   * Of `userfaultfd`, who is to provide the page: `alive`, it has read the request or answers others;
   * `dead`, nobody does; `closed`, the userfaultfd was closed before all memory was there, and the rest
   * reads as zeros. Null where that is not known
   */
  handler: "alive" | "dead" | "closed" | null;
  /** Of the handler's process; null where it is the VMM's own, or not known */
  handler_pid: number | null;
  /** When its host listed it last */
  seen_at: string;
  /** Whether its host has not been heard of lately, so that it may have ended since */
  is_stale: boolean;
}

/** Faults under way, the longest first. */
export interface OutstandingPage {
  items: Outstanding[];
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
  /** How many more the hosts had than the 256 that each lists */
  left_out: number;
  /** VMs of the range that were not looked through, as there are too many */
  vms_left_out: number;
  /**
   * Hosts that do not list any now, since they have shed what shows them (`sleep_not_measured`): of their
   * VMs it is not known whether one stands still
   */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** Parts of one moment: of no host is a batch in one of them that is not in the others. */
export interface Overview {
  vms: VmPage;
  rates: Rates;
  status: Status;
  stalled: StalledNow;
}

/** Pages of one size. */
export interface PagesOfSize {
  size: "4k" | "2m" | "1g";
  /** That KVM maps */
  mapped: number;
  /** That it could map: as large pages as alignment and backing of the memslots allow */
  could: number;
}

/** A line of PSI. Averages are plain means, in percent of the covered time; null where none was. */
export interface PressureOf {
  /** Of the newest 10 s */
  avg10: number | null;
  /** Of the newest 60 s */
  avg60: number | null;
  /** Of the newest 300 s */
  avg300: number | null;
  /** In the whole range, µs */
  total_us: number;
}

/** A VM's pressure over time. Each list has an item for each step; null where nothing is known of it. */
export interface PressureSeries {
  step_ms: number;
  /** Start of each step, a multiple of the step */
  times_ms: number[];
  /** Of the step's covered time, in percent */
  some: (number | null)[];
  full: (number | null)[];
  /** As of rates, while the VMs were there */
  coverage: CoveredSpan[];
  /** As of rates */
  kept_from_ms: number | null;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** Pressure of VMs and of hosts, where it is shown. */
export interface Pressures {
  /** The greatest average of 10 s first */
  items: VmPressure[];
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
  /** Of these VMs, and those that `host` names; by name */
  hosts: HostPressure[];
  measured_by: MeasuredBy[];
  counted: Counted | null;
  /** VMs of the range that were not looked through, as there are too many */
  vms_left_out: number;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** One tracepoint on a host. */
export interface Probe {
  tracepoint: string;
  /** `absent`: this kernel has no such tracepoint; `shed`: reading it costs the host too much, for a while */
  state: ProbeState;
  detail: string;
}

/** Whether a tracepoint is being read. */
export type ProbeState = "attached" | "absent" | "refused" | "shed" | "other";

/** What went wrong. RFC 9457. */
export interface Problem {
  /** Always about:blank: the status says it all */
  type?: string;
  /** The status in words */
  title: string;
  /** The HTTP status */
  status: number;
  /** What happened, for programs */
  code: ProblemCode;
  /** What was wrong here */
  detail: string;
  /** Each parameter that cannot be used, where that is what was wrong */
  errors?: ProblemParameter[];
}

/** Why a request was not done. For a batch, only ``DAMAGED`` is final; all others may pass. */
export type ProblemCode = "damaged" | "unknown_version" | "wrong_host" | "server_clock" | "quota" | "busy" | "too_long" | "database" | "too_large" | "wrong_type" | "incomplete" | "not_possible" | "cross_site" | "token_missing" | "token_unknown" | "token_kind" | "bad_request" | "bad_parameter" | "not_found" | "wrong_method" | "wrong_name" | "not_ready" | "failed";

/** One parameter that cannot be used. */
export interface ProblemParameter {
  /** The parameter's name */
  parameter: string;
  /** What is wrong with it */
  message: string;
}

/** A part of the range that the answer has nothing, or not all, of. */
export interface RangeWarning {
  /**
   * `older_than_kept`: the range begins before what is kept, or, of a chart, before what is kept in such
   * steps; `not_covered`: its host's probes were not attached, or not read; `stalls_not_measured`,
   * `stalls_partly_measured`: of none, or not all, of the host's faults it was measured how long they
   * stalled vCPUs; `sleep_not_measured`: its collector had shed what shows when vCPUs are asleep, so
   * pressure, waits and the blocked part of stalls lack that time; `end_not_measured`: it had shed what
   * shows where stalls end, so they lasted until KVM had done what it did last about the fault, and where
   * no event shows that, they have no time
   */
  code: WarningCode;
  /** null where it is about every host */
  host: string | null;
  /** Where that begins, UTC ms; null for the beginning */
  from_ms: number | null;
  /** Where that ends, UTC ms */
  to_ms: number;
  /** How much of from_ms..to_ms it is; null where it has no beginning, or of stalls */
  lacking_ms: number | null;
}

/** Series on one grid of steps. */
export interface Rates {
  /** Names this state of the counts: `after` of the next question */
  version: string;
  step_ms: number;
  /** Start of each step given, a multiple of the step; with `after`, those that may have changed */
  times_ms: number[];
  /** Greatest total first */
  series: Series[];
  /** null where every series is among those */
  others: OtherSeries | null;
  /** Values of a series without any count: 0 in steps of which some was covered, else null */
  quiet: (number | null)[];
  /**
   * Of the whole range. Where a host has more than 200 spans in it, gaps that are shorter than a step are
   * not listed.
   */
  coverage: CoveredSpan[];
  /**
   * Where the range begins before counts are kept in such steps: from when on they are. Steps that begin
   * earlier are null; longer steps may reach further back.
   */
  kept_from_ms: number | null;
  /**
   * VMs of the range that were not looked through, as there are too many: no series has their counts. A
   * shorter range, or `host`, leaves out fewer.
   */
  vms_left_out: number;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** What the hardware said of a fault, word by word. */
export interface RawSyndrome {
  format: string;
  word: string;
  /**
   * The architecture's other words, by their names there. x86_64: `address` (guest-physical;
   * guest-virtual for format pferr), `rip`; aarch64: `far`, `ipa`, `pc`; riscv64: `stval`, ...
   */
  words: Record<string, string>;
}

/** The word read in one format, of digits alone as hexadecimal and as decimal, the likely one first. */
export interface Reading {
  format: string;
  title: string;
  word: string;
  /** How digits alone were read: `hexadecimal` or `decimal`; empty where there is one way */
  base: string;
  decoded: Decoded;
}

/** What tracing cost in the last minute; null where there is nothing to divide by. */
export interface RecentCost {
  /** Of one core, the collector's process */
  cpu_percent: number;
  /** Of one core, its BPF programs */
  program_cpu_percent: number | null;
  program_ns_per_fault: number | null;
  program_ns_per_run: number | null;
  resident_bytes: number;
}

/** What the collector used in the time that the sums are of. Recording cost about the difference. */
export interface RecordCost {
  /** CPU time of the collector's process */
  cpu_s: number;
  /**
   * What it would have used in as long a time as it did before the request; null where it was not running
   * before
   */
  usual_cpu_s: number | null;
}

/** Why a server's request to record every fault of a VM is over. */
export type RecordEnd = "time" | "withdrawn" | "vm_ended" | "other";

/** A request to record every fault of a VM of the host. One that is not named goes on until its end. */
export interface RecordOrder {
  id: string;
  /** As the host calls it */
  vm: string;
  /** That are left; 0: it was withdrawn */
  seconds: number;
}

/** A request. Its sums are of complete readings after it; null before the first answer of the host. */
export interface RecordRequest {
  id: string;
  vm: string;
  host: string;
  /**
   * `asked`: the host has not answered yet; `waiting`: it is not heard of; `not_found`: its collector
   * knows no such VM now, as one that has taken no fault since the collector began to count; `recording`,
   * which `level` says; `over`
   */
  state: RecordState;
  /** Why it is over; null while it goes on */
  end: RecordEnd | null;
  /** Whether the host said that it is over: the sums do not change any more */
  is_final: boolean;
  asked_at: string;
  /** The id of the token that asked, as `token list` has it; null where none was needed */
  asked_by: string | null;
  /** For how long it was asked */
  seconds: number;
  /** When it ends by itself, by the servers' clock */
  ends_at: string;
  /** Seconds until then */
  left_s: number;
  withdrawn_at: string | null;
  /** When the server took the host's newest batch */
  heard_at: string;
  /** Begin of the time that the sums are of, by the host's clock */
  began_at: string | null;
  /** Its end. Between them may be gaps, where the collector was restarted: `time` has none */
  to: string | null;
  time: RecordedTime | null;
  /** What is recorded of the VM from `to` on */
  level: RecordingLevel | null;
  /** Faults of the VM */
  seen: number | null;
  /** Of these, how many were recorded one by one */
  recorded: number | null;
  /** Whose record found the buffer full */
  dropped: number | null;
  /** That were not to be recorded: `seen` is the sum of the three */
  left_out: number | null;
  /** Of those left out, how many came before the collector knew that the VM is meant */
  late: number | null;
  /** Events of the whole host that cannot be attributed; some may be faults of the VM */
  missed: number | null;
  /** Batches that the host had to drop; some may have had records of the VM */
  dropped_batches: number | null;
  /** Where the collector's budget did not allow all: what it used of a core when less was recorded */
  used_percent: number | null;
  /** And what it may use */
  granted_percent: number | null;
  cost: RecordCost | null;
}

/** Requests for a VM, newest first: of a host the newest 100, for 30 days. */
export interface RecordRequests {
  items: RecordRequest[];
}

/** Where a request is. */
export type RecordState = "asked" | "waiting" | "not_found" | "recording" | "over";

/** How long each level was in force, in seconds, of the time that the sums are of. */
export interface RecordedTime {
  all_s: number;
  sample_s: number;
  none_s: number;
}

/** How guest faults are recorded one by one, beside being counted. */
export interface Recording {
  /**
   * 1: every fault is recorded; N: one of N; 0: none; null: a sample of no fixed rate, or an event that
   * does not say
   */
  one_in: number | null;
  /** What is recorded from then on */
  level: RecordingLevel | null;
  reason: EventReason | null;
  /** Of a sample: so many faults of each VM at most */
  per_second: number | null;
  /** Of a core, with reason `budget`, or of `hook` */
  used_percent: number | null;
  /** Of a core, with reason `budget`, or of `hook` */
  granted_percent: number | null;
  since: string;
  /**
   * Words of the kernel or of another program; all that there is of what a collector of an earlier
   * release reported
   */
  detail: string;
}

/** Which guest faults are recorded one by one. */
export type RecordingLevel = "none" | "sample" | "all" | "other";

/** One line of a chart. */
export interface Series {
  /** VM id; guest id; `VM id/vCPU`; or name of the flag, access, level or architecture */
  key: string;
  /** The key for people */
  label: string;
  /** Exact count over the steps given */
  total: number;
  /**
   * Exact count of each step. Of level `none` below 0 where faults were mapped that began in an earlier
   * step: the sum over both is right
   */
  counts: number[];
  /**
   * Per second of the step's covered time, 0 at least; null where none of it was covered, or the VM was
   * not there
   */
  values: (number | null)[];
}

/** A session was opened. */
export interface Session {
  ends_at: string;
}

/** How bad it is. */
export type Severity = "critical" | "warning" | "info";

/** Who says it: the hardware's syndrome, or KVM's own software context. */
export type Side = "hardware" | "software";

/** The faults of one VM that wanted the same, and ended in the same way. */
export interface Stall {
  /** Faults that ended: exact */
  count: number;
  /** Of how many a time was taken: of all that blocked, and of a sample */
  timed: number;
  /** On a CPU, or waiting for one. Where `estimated`, as if all had */
  running_s: number | null;
  /** Asleep, until it ran again: exact; null where it is not shown */
  blocked_s: number | null;
  /** Whether some have no time: they are spread over the buckets as those that have */
  estimated: boolean;
  /** Half of them took at most so long; exact is the bucket */
  p50_s: number | null;
  p99_s: number | null;
  /** The longest of them, or what is known of it: at least so long */
  max_s: number | null;
  /** Those with a count, in order, each its own; together `count`, if any has a time */
  buckets: StallBucket[];
  vm: string;
  access: Access;
  outcome: Outcome;
  /** Whether the order of events shows it: no event of the kernel says so there */
  derived: boolean;
  /** Whether they were its own guest's (L2) */
  nested: boolean;
}

/** Faults that took a time from the end of the bucket before to `le_us`, exclusively. */
export interface StallBucket {
  /**
   * Where it ends, µs: 0.25, 0.5, 0.75, 1, then each power of two, and it with a quarter, a half and
   * three quarters more; null for the last one, which has no end
   */
  le_us: number | null;
  count: number;
}

/** Stalls over time. Each list has an item for each step; null where nothing is known of it. */
export interface StallHeat {
  step_ms: number;
  /** Start of each step, a multiple of the step */
  times_ms: number[];
  /** Where each bucket ends that any step has, in order, as `le_us` of a stall */
  le_us: (number | null)[];
  /** Of each step, the counts of these buckets: of those that have a time */
  counts: (number[] | null)[];
  /** How many more ended, of which no time was taken */
  untimed: (number | null)[];
  /** Null also where no fault was timed */
  p50_s: (number | null)[];
  p99_s: (number | null)[];
  max_s: (number | null)[];
  /** Of those that have a time */
  running_s: (number | null)[];
  blocked_s: (number | null)[];
  /** As of rates, while the VMs were there */
  coverage: CoveredSpan[];
  /** As of rates */
  kept_from_ms: number | null;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** What became of one VM's faults: ended = stalled + uncounted. */
export interface StallLedger {
  vm: string;
  /** That were seen to begin in the range */
  faults: number;
  /** That were seen to end in it */
  ended: number;
  /** Of those, in the buckets or untimed */
  stalled: number;
  /** Of those, in none: the map of stalls was full */
  uncounted: number;
}

/** How long faults stalled vCPUs. Times are null where none was taken. */
export interface StallTimes {
  /** Faults that ended: exact */
  count: number;
  /** Of how many a time was taken: of all that blocked, and of a sample */
  timed: number;
  /** On a CPU, or waiting for one. Where `estimated`, as if all had */
  running_s: number | null;
  /** Asleep, until it ran again: exact; null where it is not shown */
  blocked_s: number | null;
  /** Whether some have no time: they are spread over the buckets as those that have */
  estimated: boolean;
  /** Half of them took at most so long; exact is the bucket */
  p50_s: number | null;
  p99_s: number | null;
  /** The longest of them, or what is known of it: at least so long */
  max_s: number | null;
  /** Those with a count, in order, each its own; together `count`, if any has a time */
  buckets: StallBucket[];
}

/** What stands still now, as far as hosts have been heard of lately. */
export interface StalledNow {
  /** Faults under way */
  outstanding: number;
  /** VMs that have one */
  vms: number;
  /** The age of the oldest; null where there is none */
  oldest_s: number | null;
  /**
   * Hosts that list none now, since they have shed what shows them: whether one of their VMs stands still
   * is not known
   */
  hosts_not_shown: number;
}

/** Stalls by VM, access and outcome. */
export interface Stalls {
  /** The longest together first */
  items: Stall[];
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
  /** All of them together, of all pages */
  total: StallTimes;
  /** Of up to 20 VMs that are asked for; else empty */
  vcpus: VcpuStall[];
  /** Of the VMs that are asked for; where none is, of those with an item on this page */
  ledger: StallLedger[];
  /** Of the hosts of all of them, by name */
  measured_by: MeasuredBy[];
  counted: Counted | null;
  /** VMs of the range that were not looked through, as there are too many */
  vms_left_out: number;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** Whether a VM runs at a range's end. */
export type State = "running" | "ended";

/** The server and the hosts that it hears from. */
export interface Status {
  version: string;
  database: string;
  now: string;
  started_at: string;
  expects_collector: boolean;
  ready: boolean;
  /** What keeps the server from being ready; empty where nothing does */
  missing: string;
  /** Another one where there is a loss or an event of a host that was not there before */
  news: string;
  /** Whether readers must show a token or a session */
  asks_for_token: boolean;
  /** Every host that is traced, and those recordings that were heard of last */
  hosts: Host[];
  /** How many more recordings there are */
  recordings_left_out: number;
  /** What is wrong with how hosts are traced: what goes on first */
  findings: Finding[];
  /** How many more findings there are */
  findings_left_out: number;
  /** Those that any server on this database began, by name */
  jobs: JobRun[];
}

/** What is kept, and how long. */
export interface Storage {
  /** The shortest buckets first */
  levels: StoredLevel[];
  exits: StoredRecords;
  faults: StoredRecords;
  /** What the whole database takes */
  bytes: number;
  /** What of that is free for new rows; null where it is not known */
  free_bytes: number | null;
  /**
   * What becomes of the space of what is removed: given_back (the file gets smaller),
   * kept_until_compacted (new rows take it; `kvmfaults-server retention --compact` has the file give it
   * back) or reused (new rows take it, and whole partitions go with their files)
   */
  free_space: FreeSpace;
  /** What is stored takes, without what is free */
  used_bytes: number;
  /** Whether that is an estimate: on PostgreSQL it is */
  used_is_about: boolean;
  /** It may take so many: beyond, the oldest of the finest is removed. Null for any number */
  max_bytes: number | null;
}

/** A level of history: counts in buckets of one length. */
export interface StoredLevel {
  /** Length of its buckets in s */
  bucket_s: number;
  /** Up to which age it is kept, in s; null for ever */
  age_s: number | null;
  /** From when on it is kept; null where nothing was removed. Of recordings, all is kept */
  kept_from: string | null;
  /** How many ranges of time are yet to be summed up to it: answers read them from the level below */
  pending: number;
  /** Where the first of them starts; null without one */
  pending_from: string | null;
  sizes: StoredSizes;
}

/** Records of exits, or of single faults. */
export interface StoredRecords {
  /** Up to which age it is kept, in s; null for ever */
  age_s: number | null;
  /** From when on it is kept; null where nothing was removed. Of recordings, all is kept */
  kept_from: string | null;
  size: StoredSize;
}

/** What something takes. A server measures it every minute; what is large, less often. */
export interface StoredSize {
  /** Null where it was not measured yet */
  rows: number | null;
  /** With its indexes; null likewise */
  bytes: number | null;
  /** Whether a figure is an estimate: on PostgreSQL, of rows */
  is_about: boolean;
  /** When it was measured; null where it was not yet */
  measured: string | null;
}

/** What counts of one level take. */
export interface StoredSizes {
  faults: StoredSize;
  exits: StoredSize;
  ledger: StoredSize;
  losses: StoredSize;
  costs: StoredSize;
  stalls: StoredSize;
  vcpu_stalls: StoredSize;
  stall_ledger: StoredSize;
  waits: StoredSize;
  pressures: StoredSize;
  host_pressures: StoredSize;
  causes: StoredSize;
  kvm_counts: StoredSize;
}

/** Faults with one raw word. Without a syndrome from the kernel, word, format and decoded are null. */
export interface Syndrome {
  word: string | null;
  format: string | null;
  count: number;
  decoded: Decoded | null;
}

/** Raw words, most faults first. */
export interface Syndromes {
  items: Syndrome[];
  /** How many different words the VM's faults had */
  words: number;
  /** Faults with any of them: what is not in a page is known from it */
  count: number;
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
  /**
   * Where counts are not kept of exactly from..to: the range that they are of. What is older than is kept
   * is in none of them. null where they are exactly of from..to.
   */
  counted: Counted | null;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
}

/** What a batch has times of. */
export type TimesOf = "covered_time" | "records" | "events" | "counts" | "vm_starts" | "vm_ends" | "costs" | "other";

/** The steps of the trends. */
export interface Trend {
  step_ms: number;
  /** Start of each step, a multiple of the step */
  times_ms: number[];
}

/** What a watched value is in. */
export type Unit = "per_second" | "seconds" | "count";

/** A vCPU's totals within from..to. */
export interface Vcpu {
  vcpu: number;
  faults: number;
  memory_fault_exits: number;
  bare_error_exits: number;
  /** Either of these two, in a recording that does not show which */
  unclassified_error_exits: number;
  /** Former name of `unclassified_error_exits`; the next release leaves it out */
  untold_error_exits: number;
}

/** The stalls of one vCPU. */
export interface VcpuStall {
  vm: string;
  vcpu: number;
  count: number;
  timed: number;
  running_s: number | null;
  blocked_s: number | null;
  max_s: number | null;
  /** Of the time that its host was read while the VM was there; null where none was, or nothing was timed */
  share: number | null;
}

/** A VM with its totals within from..to. */
export interface Vm {
  id: string;
  /** What its host calls it: the same, but where another host's VM had this id first */
  reported_id: string;
  /** The guest that it is a life of, from `/api/v1/guests` */
  guest: string;
  /** As the VMM reports, else empty */
  name: string;
  uuid: string;
  /** Kind of VMM, else its process's name */
  vmm: string;
  /** What runs the VMM, where that shows */
  manager: string;
  /** The VMM's command line */
  command: string;
  host: string;
  arch: string;
  /** The VMM's process id on its host */
  pid: number;
  started_at: string;
  ended_at: string | null;
  first_seen: string;
  last_seen: string;
  faults: number;
  memory_fault_exits: number;
  bare_error_exits: number;
  /** Either of these two, in a recording that does not show which */
  unclassified_error_exits: number;
  /** Per second of covered time, null where none was covered */
  fault_rate: number | null;
  /** Memory-fault exits per second of covered time */
  exit_rate: number | null;
  /** Whether it had not ended at the range's end */
  running: boolean;
  /**
   * Faults per second in the newest covered step of the range; null where the VM had ended, or its host
   * was not read any more
   */
  rate_at_end: number | null;
  /** Former name of `unclassified_error_exits`; the next release leaves it out */
  untold_error_exits: number;
}

/** A VM with its vCPUs, and all of its exits to user space by reason, within from..to. */
export interface VmDetail {
  id: string;
  /** What its host calls it: the same, but where another host's VM had this id first */
  reported_id: string;
  /** The guest that it is a life of, from `/api/v1/guests` */
  guest: string;
  /** As the VMM reports, else empty */
  name: string;
  uuid: string;
  /** Kind of VMM, else its process's name */
  vmm: string;
  /** What runs the VMM, where that shows */
  manager: string;
  /** The VMM's command line */
  command: string;
  host: string;
  arch: string;
  /** The VMM's process id on its host */
  pid: number;
  started_at: string;
  ended_at: string | null;
  first_seen: string;
  last_seen: string;
  faults: number;
  memory_fault_exits: number;
  bare_error_exits: number;
  /** Either of these two, in a recording that does not show which */
  unclassified_error_exits: number;
  /** Per second of covered time, null where none was covered */
  fault_rate: number | null;
  /** Memory-fault exits per second of covered time */
  exit_rate: number | null;
  /** Whether it had not ended at the range's end */
  running: boolean;
  /**
   * Faults per second in the newest covered step of the range; null where the VM had ended, or its host
   * was not read any more
   */
  rate_at_end: number | null;
  /** A page of those that ever counted, by number */
  vcpus: Vcpu[];
  /** How many vCPUs ever counted */
  vcpu_count: number;
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
  /** Most first, 1000 at most */
  exit_reasons: ExitReason[];
  /** Exits whose reasons are not among those */
  exits_of_other_reasons: number;
  /**
   * Where counts are not kept of exactly from..to: the range that they are of. What is older than is kept
   * is in none of them. null where they are exactly of from..to.
   */
  counted: Counted | null;
  /** Of its host: how its commands are called there */
  collector: Collector | null;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
  /** Former name of `unclassified_error_exits`; the next release leaves it out */
  untold_error_exits: number;
}

/** What KVM itself counted of one VM. */
export interface VmKvmStats {
  vm: string;
  counts: KvmCount[];
  /** Huge pages that were split to make a part of them executable */
  splits: number;
  /** As last looked at, whatever the range; null: not known */
  pages: VmPageSizes | null;
}

/**
 * What became of a VM's guest faults. In each step and in total, seen = counted + uncounted and recorded
 * + sampled_out + dropped = seen.
 */
export interface VmLedger {
  vm: string;
  host: string;
  /** Seen by the programs, and attributed to this VM */
  seen: LedgerLine;
  /** In the counts */
  counted: LedgerLine;
  /** Found the map of counts full, or were skipped and are known from KVM's own count */
  uncounted: LedgerLine;
  /** In the fault records */
  recorded: LedgerLine;
  /** Not to be recorded, as sampling or the VM's bound had it */
  sampled_out: LedgerLine;
  /** To be recorded, and found the ring buffer full */
  dropped: LedgerLine;
  /**
   * Of the VM's whole life: seen, and in batches that are not stored: dropped by the spool or still under
   * way
   */
  missing: number;
  /**
   * Whether the figures add up in every step, no more is stored than was seen, and nothing that was found
   * leaves it open: a double count, or batches that are refused
   */
  balanced: boolean;
  /** What was found of the VM or its host, as in the status */
  findings: Code[];
}

/** VMs in the order that was asked for; else those that run first, each the newest first. */
export interface VmPage {
  items: ListedVm[];
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
  /** null where they were not asked for */
  totals: VmTotals | null;
  /** null where no trends were asked for */
  trend: Trend | null;
  /**
   * Where counts are not kept of exactly from..to: the range that they are of. What is older than is kept
   * is in none of them. null where they are exactly of from..to.
   */
  counted: Counted | null;
  /**
   * VMs of the range that were not looked through, as there are too many: they are neither listed nor in
   * the totals. A shorter range, or `host`, leaves out fewer.
   */
  vms_left_out: number;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** In what pages KVM maps a VM's memory. */
export interface VmPageSizes {
  /** RFC 3339 with ns */
  at: string;
  sizes: PagesOfSize[];
  /** Of the memory that is mapped, in pages of more than 4 KiB; null where none is mapped */
  huge_share: number | null;
  /** Of all memory of the memslots, that could be in such pages */
  huge_could: number | null;
  /** Pages of KVM's own page tables; null where not shown */
  shadow_pages: number | null;
}

/** How long a VM stood still. */
export interface VmPressure {
  host: string;
  /** At least one vCPU was asleep in a fault */
  some: PressureOf;
  /** And no other ran */
  full: PressureOf;
  /**
   * Where the averages end, UTC ms: the newest second that was read whole; null where the host was not
   * read at the range's end any more
   */
  at_ms: number | null;
  vm: string;
}

/** Sums over all VMs that were found, on whatever page they are. */
export interface VmTotals {
  vms: number;
  /** At the range's end */
  running: number;
  /** Hosts of these VMs */
  hosts: number;
  faults: number;
  memory_fault_exits: number;
  bare_error_exits: number;
  /** Either of these two, in a recording that does not show which */
  unclassified_error_exits: number;
  /** Faults per second of all; null where no host was read at the end */
  rate_at_end: number | null;
  /** Former name of `unclassified_error_exits`; the next release leaves it out */
  untold_error_exits: number;
}

/**
 * A time in which several VMs of a guest ran: on several hosts while it migrates. On one host, or for
 * long, VMs have the same UUID or name that are not the same guest.
 */
export interface VmsAtOnce {
  since: string;
  /** null where it goes on, as far as is known */
  until: string | null;
  /** Those that ran in it */
  vms: string[];
  /** Their hosts */
  hosts: string[];
}

/** What the vCPUs of one VM waited for while they were asleep in faults. */
export interface Wait {
  vm: string;
  waits_for: WaitsFor;
  /** How often a vCPU went to sleep for it, and ran again */
  count: number;
  /** All vCPUs together: exact */
  seconds: number;
  /** Of all that the VM waited */
  share: number;
  /** Of `lock` and `other`: the 20 longest */
  details: WaitDetail[];
  /** How many more there are */
  details_left_out: number;
}

/** One lock, or one stack, of a wait. */
export interface WaitDetail {
  /**
   * Of `lock` the kernel function that waits for it; of `other` the functions that the vCPU slept in,
   * innermost first
   */
  detail: string;
  count: number;
  seconds: number;
}

/** What was waited for, over time. */
export interface WaitLine {
  waits_for: WaitsFor;
  /** In the steps */
  total_s: number;
  /** In each step; null where nothing is known of it */
  seconds: (number | null)[];
}

/** What vCPUs waited for, over time. Each list of seconds has an item for each step. */
export interface WaitSeries {
  step_ms: number;
  /** Start of each step, a multiple of the step */
  times_ms: number[];
  /** The longest first */
  series: WaitLine[];
  /** As of rates, while the VMs were there */
  coverage: CoveredSpan[];
  /** As of rates */
  kept_from_ms: number | null;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** The same of all VMs together. */
export interface WaitTotal {
  waits_for: WaitsFor;
  count: number;
  seconds: number;
}

/** What vCPUs waited for, by VM. */
export interface Waits {
  /** The longest first */
  items: Wait[];
  /** `cursor` of the next page, null on the last */
  next_cursor: string | null;
  /** Of all pages, the longest first */
  totals: WaitTotal[];
  /** All of it; null where no host shows when vCPUs are asleep */
  blocked_s: number | null;
  /** Of the hosts of all of them, by name */
  measured_by: MeasuredBy[];
  counted: Counted | null;
  /** VMs of the range that were not looked through, as there are too many */
  vms_left_out: number;
  /** What the answer cannot know of its range: empty where all of that is kept and covered */
  warnings: RangeWarning[];
  /** How many more hosts there are such warnings of */
  warnings_left_out: number;
  as_of: AsOf;
}

/** What it waits for, by the kernel functions it sleeps in. What a later version knows is ``OTHER``. */
export type WaitsFor = "userfaultfd" | "swap" | "file" | "reclaim" | "compaction" | "memcg" | "lock" | "numa" | "guest_memfd" | "huge_page" | "other";

/** Why something of the range is not in the answer. */
export type WarningCode = "older_than_kept" | "not_covered" | "stalls_not_measured" | "stalls_partly_measured" | "sleep_not_measured" | "end_not_measured";

/** A field of a word, with the value it has there. */
export interface WordField {
  name: string;
  /** Highest and lowest bit, or the only one */
  bits: string;
  /** Lowest bit */
  low: number;
  /** Number of bits */
  width: number;
  value: string;
  meaning: string;
  /** The manual or kernel source that defines it */
  source: string;
  /** Seen in patches that no released kernel has */
  proposed: boolean;
  /** False where the manual leaves these bits undefined in this word */
  defined: boolean;
}
