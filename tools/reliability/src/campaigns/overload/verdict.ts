import type { BudgetReading } from '../../load/scrape.ts'
import { tooLittle, type Work } from '../../load/work.ts'

/** What was seen of a broker before, under and after the crowd. */
export interface Observation {
  /** Whether times are judged: not where others may use the machine too. */
  readonly judgesTimes: boolean
  /**
   * p99 of the neighbour's produces in undisturbed seconds: of the worse of two quiet spells, before the crowd and after it, and under
   * the crowd.
   */
  readonly quietP99Ms: number
  readonly loadedP99Ms: number
  /** How many were wanted and not found, in the spell that lacks the most. */
  readonly undisturbedSecondsMissing: number
  /** The longest that a produce of 600 kB took under the crowd. */
  readonly largeMostMs: number
  readonly neighbourErrors: readonly string[]
  readonly busyErrors: readonly string[]
  readonly anonymousBeforeBytes: number
  readonly anonymousMostBytes: number
  readonly anonymousAfterBytes: number
  /** How much more than before the crowd may make it, by the broker's settings. */
  readonly anonymousAllowedBytes: number
  /** How much of that may stay when it has gone: a heap that has grown is used again, and shrinks late. */
  readonly anonymousKeptBytes: number
  readonly descriptorsBefore: number
  readonly descriptorsAfter: number
  readonly idleWanted: number
  /** Idle connections that were still open at the end. */
  readonly idleKept: number
  /** What the neighbours and the crowd got done under load: a broker that serves nobody keeps all its bounds. */
  readonly works: readonly Work[]
  /** The worst reading of each. */
  readonly budgetsUnderLoad: readonly BudgetReading[]
  readonly budgetsAfter: readonly BudgetReading[]
}

/** The neighbour may wait so many times longer under the crowd. */
const MAX_SLOWDOWN = 2
/** A frame waits for room until those that dawdle are given up, five seconds after they were begun. */
const MAX_LARGE_MS = 10_000
/** Segments and indexes that were opened meanwhile and stay open. */
const MAX_KEPT_DESCRIPTORS = 64
/** The neighbour's own. */
const MAX_CONNECTIONS_AFTER = 8

/** What outlives connections: sessions until others want their place, buffers for reuse, topics, what groups and partitions remember. */
const STAY: ReadonlySet<string> = new Set([
  'fetch-sessions',
  'fetch-session-partitions',
  'idle-frame-buffers',
  'open-segments',
  'partitions',
  'groups',
  'group-members',
  'group-metadata',
  'committed-offsets',
  'producers',
])

/** Budgets that the crowd is made for. One that is not told of is not kept either. */
const EXPECTED = ['connections', 'request-frames', 'answers']

const MIB = 1024 * 1024
const inMib = (bytes: number) => `${Math.round(bytes / MIB)} MiB`

/** Every check with what it found; null: it held. */
export function judge(seen: Observation): (string | null)[] {
  const growth = seen.anonymousMostBytes - seen.anonymousBeforeBytes
  const kept = seen.anonymousAfterBytes - seen.anonymousBeforeBytes
  const descriptors = seen.descriptorsAfter - seen.descriptorsBefore
  const slowdown = seen.loadedP99Ms / seen.quietP99Ms
  return [
    seen.neighbourErrors.length === 0 ? null : `the neighbour: ${seen.neighbourErrors.slice(0, 3).join('; ')}`,
    !seen.judgesTimes || (seen.quietP99Ms > 0 && seen.loadedP99Ms !== 0)
      ? null
      : "the neighbour's latency was not measured",
    !seen.judgesTimes || seen.undisturbedSecondsMissing <= 0
      ? null
      : `the processors stood still too often: ${seen.undisturbedSecondsMissing} seconds without are missing, so times tell nothing`,
    !seen.judgesTimes || slowdown <= MAX_SLOWDOWN
      ? null
      : `the neighbour's p99 was ${seen.loadedP99Ms.toFixed(2)} ms under load, ${slowdown.toFixed(1)} times ${seen.quietP99Ms.toFixed(2)} ms`,
    !seen.judgesTimes || seen.largeMostMs <= MAX_LARGE_MS
      ? null
      : `a large produce took ${(seen.largeMostMs / 1000).toFixed(1)} s`,
    seen.busyErrors.length === 0 ? null : `busy clients: ${seen.busyErrors.slice(0, 3).join('; ')}`,
    seen.idleKept === seen.idleWanted ? null : `${seen.idleKept} of ${seen.idleWanted} idle connections were kept`,
    growth <= seen.anonymousAllowedBytes
      ? null
      : `anonymous memory grew by ${inMib(growth)}; the settings allow ${inMib(seen.anonymousAllowedBytes)}`,
    kept <= seen.anonymousKeptBytes ? null : `${inMib(kept)} of anonymous memory did not come back`,
    descriptors <= MAX_KEPT_DESCRIPTORS ? null : `${descriptors} descriptors did not come back`,
    ...seen.works.map((work) => tooLittle([work])[0] ?? null),
    ...EXPECTED.map((name) =>
      [seen.budgetsUnderLoad, seen.budgetsAfter].every((budgets) => budgets.some((budget) => budget.name === name))
        ? null
        : `budget ${name}: the broker does not tell of it`,
    ),
    ...seen.budgetsUnderLoad.map((budget) => overLimit(budget)),
    ...seen.budgetsAfter.map((budget) => notReturned(budget)),
  ]
}

/** Of the neighbour's large produces a share of those for which there is time if each takes as long as it may; one in any case. */
export function largeProduces(count: number, loadedMs: number, share: number): Work {
  return { what: 'large produces', count, least: Math.max(1, (loadedMs / MAX_LARGE_MS) * share) }
}

/**
 * Large frames ask before they grow, but for one, which goes on to its end above the bound, and is as large as the bound at most where
 * that is as small as it may be. So all together may be as much again above it; the small one that may do the same is little beside it.
 */
function overLimit({ name, used, limit }: BudgetReading): string | null {
  const allowed = name === 'request-frames' ? limit * 2 : limit
  return used <= allowed ? null : `budget ${name}: ${used} used of ${limit}`
}

/** What is there for clients is gone with them. */
function notReturned({ name, used }: BudgetReading): string | null {
  if (STAY.has(name)) return null
  const allowed =
    name === 'connections' || name === 'http-connections' || name === 'waiting-answers' ? MAX_CONNECTIONS_AFTER : 0
  return used <= allowed ? null : `budget ${name}: ${used} still used after everybody left`
}
