import type { AnomalyKind } from '../checker/anomaly.ts'
import type { Verdict } from '../checker/check-history.ts'
import type { RunSummary } from './summary.ts'

/** One sentence that a run has put to the test. */
export interface Promised {
  readonly name: string
  /** What broke it, for people; empty: it held. */
  readonly broken: readonly string[]
}

const KEPT = 'What was acknowledged is kept, at its offset, and read'
const SENT = 'Only what was sent is read, once and in whole transactions'
const ORDER = 'Readers and writers go forward through a log'
const COMMITTED = 'Committed offsets stay, and are those that were committed'
const PROCESSED = 'Each input is processed exactly once'
const SHARED = 'What a share group hands out is one member’s at a time, until it is done with, and nothing is left out'
const ENDED = 'Every transaction ends'
const ENDS = 'Ends of logs do not move back, and the newest value is read where that is owed'
const PROGRESS = 'Records are acknowledged whenever nothing is broken'
const PROCESSES = 'Nodes and clients live, log nothing bad, and come together again'
const ENOUGH = 'Leaders, controllers and others were hit under load, often enough to tell'

/** Which promise each anomaly breaks. */
const promiseOf: Readonly<Record<AnomalyKind, string>> = {
  'inconsistent-offsets': KEPT,
  'stale-leader-ack': KEPT,
  'lost-write': KEPT,
  unseen: KEPT,
  'invented-value': SENT,
  duplicate: SENT,
  'aborted-read': SENT,
  'precommitted-read': SENT,
  'torn-transaction': SENT,
  'read-cycle': SENT,
  'future-read': SENT,
  G1c: SENT,
  G0: SENT,
  'consume-count': PROCESSED,
  'skipped-input': PROCESSED,
  'hanging-transaction': ENDED,
  undelivered: SHARED,
  'given-up-early': SHARED,
  'delivered-again': SHARED,
  'held-twice': SHARED,
  overdelivered: SHARED,
  'poll-skip': ORDER,
  'int-poll-skip': ORDER,
  'nonmonotonic-poll': ORDER,
  'int-nonmonotonic-poll': ORDER,
  'nonmonotonic-send': ORDER,
  'int-nonmonotonic-send': ORDER,
  'int-send-skip': ORDER,
  'offset-regress': COMMITTED,
  'invented-offset': COMMITTED,
  'watermark-regress': ENDS,
  'stale-read': ENDS,
  stuck: PROGRESS,
}

/** Below these a run in CI says too little of a change: faults did not strike. A machine with twenty processes for each processor does ten. */
const LEAST_LEADER_KILLS = 3
const LEAST_CONTROLLER_KILLS = 1
const LEAST_FAULTS = 6
const LEAST_COMMITTED = 20
const LEAST_ABORTED = 5
const LEAST_PROCESSED = 50
/** Of each library. */
const LEAST_ACCEPTED = 20
const LEAST_REDELIVERED = 20
const LEAST_EXHAUSTED = 1

/** Every promise, with what broke it. `problems`: what no history shows. */
export function promisesOf(summary: RunSummary, verdict: Verdict, problems: readonly string[]): Promised[] {
  const broken = verdict.found.filter(({ isAllowed }) => !isAllowed)
  const names = [...new Set(Object.values(promiseOf))]
  return [
    ...names.map((name) => ({
      name,
      broken: broken.filter(({ kind }) => promiseOf[kind] === name).map(({ kind, count }) => `${kind}, ${count} times`),
    })),
    { name: PROCESSES, broken: problems },
    { name: ENOUGH, broken: [...verdict.invalid, ...tooFew(summary)] },
  ]
}

function tooFew(summary: RunSummary): string[] {
  const { leaderKills, faultCounts, isStopped, committed, aborted, processed } = summary
  const { accepted, redelivered, exhausted } = summary
  const faultCount = Object.values(faultCounts).reduce((sum, count) => sum + count, 0)
  const reasons: string[] = []
  if (isStopped) reasons.push('it was stopped')
  if (leaderKills < LEAST_LEADER_KILLS) reasons.push(`only ${leaderKills} leaders were killed`)
  if ((faultCounts['kill-controller'] ?? 0) < LEAST_CONTROLLER_KILLS) reasons.push('no active controller was killed')
  if (faultCount < LEAST_FAULTS) reasons.push(`only ${faultCount} faults struck`)
  if (committed < LEAST_COMMITTED) reasons.push(`only ${committed} transactions were committed`)
  if (aborted < LEAST_ABORTED) reasons.push(`only ${aborted} transactions were not`)
  if (processed < LEAST_PROCESSED) reasons.push(`only ${processed} records were processed`)
  for (const [library, count] of Object.entries(accepted))
    if (count < LEAST_ACCEPTED) reasons.push(`only ${count} records of a share group were accepted by ${library}`)
  if (redelivered < LEAST_REDELIVERED)
    reasons.push(`only ${redelivered} deliveries of a share group were not the first`)
  if (exhausted < LEAST_EXHAUSTED) reasons.push('no record of a share group came to its last delivery')
  return reasons
}

/** The part of vitest's JSON report that CI adds up, with a test for each promise. */
export function testReport(promises: readonly Promised[]): object {
  const failedCount = promises.filter(({ broken }) => broken.length > 0).length
  return {
    numPassedTests: promises.length - failedCount,
    numFailedTests: failedCount,
    numPendingTests: 0,
    numTodoTests: 0,
    success: failedCount === 0,
    testResults: [
      {
        name: 'chaos',
        status: failedCount === 0 ? 'passed' : 'failed',
        assertionResults: promises.map(({ name, broken }) => ({
          title: name,
          fullName: name,
          status: broken.length === 0 ? 'passed' : 'failed',
          failureMessages: broken,
        })),
      },
    ],
  }
}
