import { type History, isData, type Key } from '../history/operation.ts'
import type { ChaosResult } from '../run-chaos.ts'
import { sharingLibraries } from '../workload/client-program.ts'
import { bucketsOf, quantile, recoveriesOf } from './series.ts'

/** What a run was, for pages and for `docs/chaos.jsonl`. */
export interface RunHead {
  readonly system: string
  readonly date: string
  readonly commit: string
  readonly seed: number
  readonly nodes: number
  readonly seconds: number
  /** As on the command line. */
  readonly faults: string
}

/** One line of `docs/chaos.jsonl`. */
export interface RunSummary extends RunHead {
  readonly isGood: boolean
  readonly isStopped: boolean
  readonly faultCounts: Readonly<Record<string, number>>
  /** Kills of nodes that led at least one log. */
  readonly leaderKills: number
  readonly operations: number
  readonly acknowledged: number
  readonly unknown: number
  /** Transactions that were committed, that certainly were not, and of which nobody knows. */
  readonly committed: number
  readonly aborted: number
  readonly unsure: number
  /** Inputs of committed transactions. */
  readonly processed: number
  /** Of a share group: records of which it was answered that they are accepted, by library; deliveries after the first of a record; last ones. */
  readonly accepted: Readonly<Record<string, number>>
  readonly redelivered: number
  readonly exhausted: number
  readonly anomalies: Readonly<Record<string, number>>
  /** Seen, and excluded by no promise. */
  readonly allowed: Readonly<Record<string, number>>
  readonly problems: number
  readonly sendP50Ms: number | null
  readonly sendP99Ms: number | null
  readonly recoveryP50Ms: number | null
  readonly recoveryP99Ms: number | null
  readonly recoveryMaxMs: number | null
}

export function summaryOf(head: RunHead, result: ChaosResult): RunSummary {
  const { verdict, history, leaders, faultCounts, problems, isStopped } = result
  const sends = history.operations.filter(({ kind }) => kind === 'send')
  const [all] = bucketsOf(history, Math.max(1, history.endMs + 1))
  const loaded = keysUnderLoad(history)
  const keys = [...new Set(leaders.flatMap((sample) => [...sample.leaders.keys()]))].filter((key) => loaded.has(key))
  const recoveries = recoveriesOf(history, leaders, keys)
    .map(({ recoveryMs }) => recoveryMs)
    .sort((left, right) => left - right)
  const found = (isAllowed: boolean) =>
    Object.fromEntries(
      verdict.found.filter((entry) => entry.isAllowed === isAllowed).map(({ kind, count }) => [kind, count]),
    )
  return {
    ...head,
    isGood: verdict.isGood && problems.length === 0,
    isStopped,
    faultCounts: Object.fromEntries([...faultCounts].sort()),
    leaderKills: leaderKillsOf(result),
    operations: history.operations.length,
    acknowledged: sends.filter(({ outcome }) => outcome === 'ok').length,
    unknown: sends.filter(({ outcome }) => outcome === 'info').length,
    ...transactionsOf(history),
    ...sharesOf(history),
    anomalies: found(false),
    allowed: found(true),
    problems: problems.length + verdict.invalid.length,
    sendP50Ms: rounded(quantile(all!.latencies, 0.5)),
    sendP99Ms: rounded(quantile(all!.latencies, 0.99)),
    recoveryP50Ms: rounded(quantile(recoveries, 0.5)),
    recoveryP99Ms: rounded(quantile(recoveries, 0.99)),
    recoveryMaxMs: rounded(recoveries.at(-1) ?? null),
  }
}

function transactionsOf({ operations }: History): Pick<RunSummary, 'committed' | 'aborted' | 'unsure' | 'processed'> {
  const all = operations.filter(isData).filter(({ kind }) => kind === 'txn')
  const committed = all.filter(({ outcome }) => outcome === 'ok')
  return {
    committed: committed.length,
    aborted: all.filter(({ outcome }) => outcome === 'fail').length,
    unsure: all.filter(({ outcome }) => outcome === 'info').length,
    processed: committed.reduce((sum, { consumed }) => sum + (consumed?.records.length ?? 0), 0),
  }
}

function sharesOf({ operations }: History): Pick<RunSummary, 'accepted' | 'redelivered' | 'exhausted'> {
  const limit = operations.find((operation) => operation.kind === 'join')?.rules.deliveryLimit
  const counts = operations.flatMap((operation) =>
    operation.kind === 'acquire' ? operation.records.map(({ count }) => count) : [],
  )
  const accepted: Record<string, number> = Object.fromEntries(sharingLibraries.map((library) => [library, 0]))
  for (const operation of operations) {
    if (operation.kind !== 'acknowledge') continue
    const taken = new Set(operation.taken.map(({ key, offset }) => `${key}@${offset}`))
    const count = operation.verdicts.filter(
      ({ key, offset, verdict }) => verdict === 'accept' && taken.has(`${key}@${offset}`),
    ).length
    const library = operation.process.split('-')[0] ?? ''
    accepted[library] = (accepted[library] ?? 0) + count
  }
  return {
    accepted,
    redelivered: counts.filter((count) => count > 1).length,
    exhausted: counts.filter((count) => count === limit).length,
  }
}

/** For people. */
export function acceptedText({ accepted }: RunSummary): string {
  const parts = Object.entries(accepted).map(([library, count]) => `${count.toLocaleString('en')} by ${library}`)
  return `records accepted: ${parts.join(', ')}`
}

/** Logs to which single records are sent all the time; others have to wait for transactions and groups as well. */
function keysUnderLoad({ operations, healedMs }: History): Set<Key> {
  const sends = operations.filter(({ kind, invokedMs }) => kind === 'send' && invokedMs <= healedMs).filter(isData)
  return new Set(sends.flatMap(({ steps }) => steps.flatMap((step) => (step.step === 'send' ? [step.key] : []))))
}

/** By who led when it was last told before each kill. */
function leaderKillsOf({ history, leaders }: ChaosResult): number {
  let count = 0
  for (const { kind, nodes, beginMs } of history.faults) {
    if (!kind.startsWith('kill-')) continue
    const known = leaders.findLast((sample) => sample.ms < beginMs && sample.leaders.size > 0)
    const leading = new Set([...(known?.leaders.values() ?? [])].map(({ leader }) => leader))
    count += nodes.filter((id) => leading.has(id)).length
  }
  return count
}

function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 10) / 10
}
