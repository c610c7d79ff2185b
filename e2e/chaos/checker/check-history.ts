import type { History, Operation } from '../history/operation.ts'
import { type Anomaly, type AnomalyKind, Findings, isAllowed, type Profile } from './anomaly.ts'
import { checkCycles } from './check-cycles.ts'
import { checkLogs } from './check-logs.ts'
import { checkOrder } from './check-order.ts'
import { checkProgress, countOutcomes, type OutcomeCounts, whyInvalid } from './check-progress.ts'
import { checkPromises } from './check-promises.ts'
import { checkRegisters } from './check-registers.ts'
import { checkShares } from './check-shares.ts'
import { checkTransactions } from './check-transactions.ts'
import { LogModel } from './log-model.ts'

export interface Verdict {
  /** Nothing that breaks a promise was found, and there was enough to find. */
  readonly isGood: boolean
  /** How often each kind was found, and whether the profile allows it. */
  readonly found: readonly { readonly kind: AnomalyKind; readonly count: number; readonly isAllowed: boolean }[]
  /** The first of each kind. */
  readonly examples: readonly Anomaly[]
  /** Why the run says nothing; empty if it does. */
  readonly invalid: readonly string[]
  readonly outcomes: OutcomeCounts
}

/** Judges a history. Pure: the same history gives the same verdict. */
export function checkHistory(history: History, profile: Profile): Verdict {
  const findings = new Findings()
  const operations = inOrder(history.operations)
  const model = new LogModel(operations)
  checkOrder(operations, model, findings)
  checkLogs(operations, model, findings)
  checkTransactions(operations, model, findings)
  checkShares(history, operations, model, findings)
  checkCycles(operations, model, findings)
  checkPromises(operations, findings)
  checkRegisters(operations, findings)
  checkProgress(history, findings)
  const found = findings
    .kinds()
    .map((kind) => ({ kind, count: findings.count(kind), isAllowed: isAllowed(kind, profile) }))
  const invalid = whyInvalid(history)
  return {
    isGood: invalid.length === 0 && found.every((entry) => entry.isAllowed),
    found,
    examples: findings.examples(),
    invalid,
    outcomes: countOutcomes(operations),
  }
}

/** Ids rise in the order of invocation. */
function inOrder(operations: readonly Operation[]): Operation[] {
  return [...operations].sort((left, right) => left.id - right.id)
}
