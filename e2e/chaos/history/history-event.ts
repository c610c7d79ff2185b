import type {
  AcknowledgeOperation,
  Consumed,
  DataOperation,
  Delivered,
  Key,
  Operation,
  Outcome,
  Place,
  Seen,
  ShareRules,
  TransactionEnd,
} from './operation.ts'

interface InvocationBase {
  readonly id: number
  readonly process: string
  readonly ms: number
}

/** A transaction as a client was asked for it: all of its sends, then the offsets of what it consumed, then its end. */
export interface AskedTransaction {
  readonly kind: 'txn'
  readonly sends: readonly { readonly key: Key; readonly value: string }[]
  readonly consumed?: Consumed
  readonly end: TransactionEnd
}

/** What a client was asked. */
export type Asked =
  | AskedTransaction
  | { readonly kind: 'send'; readonly key: Key; readonly value: string }
  | { readonly kind: 'poll' }
  | { readonly kind: 'assign'; readonly places: readonly Place[] }
  | { readonly kind: 'subscribe'; readonly group: string }
  | { readonly kind: 'commit'; readonly group: string; readonly places: readonly Place[] }
  | { readonly kind: 'committed'; readonly group: string }
  | { readonly kind: 'ends'; readonly isolation: 'read_committed' | 'read_uncommitted' }
  | { readonly kind: 'read'; readonly key: Key }
  | { readonly kind: 'join'; readonly group: string; readonly rules: ShareRules }
  | { readonly kind: 'acquire'; readonly group: string }
  | { readonly kind: 'acknowledge'; readonly group: string; readonly verdicts: AcknowledgeOperation['verdicts'] }
  | { readonly kind: 'share-progress'; readonly group: string }

export type Invocation = InvocationBase & Asked

/** What it answered. */
export interface Answered {
  readonly outcome: Outcome
  readonly error?: string
  /** Of `send`; null where the client does not know it. */
  readonly offset?: number | null
  /** Of a transaction that was committed: those of its sends. */
  readonly offsets?: readonly (number | null)[]
  readonly records?: readonly Seen[]
  readonly isRebalanced?: boolean
  /** Of `committed`, `ends` and `share-progress`. */
  readonly places?: readonly Place[]
  /** Of `acquire`. */
  readonly delivered?: readonly Delivered[]
  /** Of `acknowledge`. */
  readonly taken?: readonly Place[]
  readonly refused?: readonly Place[]
  /** Of `share-progress`. */
  readonly drained?: readonly Key[]
  /** Of `read`. */
  readonly value?: string | null
}

/** One line of a history file, after its head. */
export type HistoryEvent =
  | ({ readonly type: 'invoke' } & Invocation)
  | ({ readonly type: 'complete'; readonly id: number; readonly ms: number } & Answered)
  | { readonly type: 'fault'; readonly id: number; readonly ms: number; readonly kind: string }
  /** What the fault turned out to be. */
  | {
      readonly type: 'fault-detail'
      readonly id: number
      readonly ms: number
      readonly detail: string
      readonly nodes: readonly number[]
    }
  | { readonly type: 'fault-end'; readonly id: number; readonly ms: number }
  | { readonly type: 'healed' | 'end'; readonly ms: number }

/** The operation that an invocation and its answer make; without one, nobody knows whether it happened. */
export function toOperation(
  invocation: Invocation,
  completion: (Answered & { readonly ms: number }) | null,
): Operation {
  const { id, process, ms: invokedMs } = invocation
  const outcome = completion?.outcome ?? 'info'
  const completedMs = completion === null || outcome === 'info' ? Number.POSITIVE_INFINITY : completion.ms
  const base = { id, process, outcome, invokedMs, completedMs }
  switch (invocation.kind) {
    case 'send': {
      const { key, value } = invocation
      return { ...base, kind: 'send', steps: [{ step: 'send', key, value, offset: completion?.offset ?? null }] }
    }
    case 'txn':
      return toTransaction(invocation, completion, base)
    case 'poll': {
      const { records = [], isRebalanced = false } = completion ?? {}
      return { ...base, kind: 'poll', steps: [{ step: 'poll', records, isRebalanced }] }
    }
    case 'assign':
      return { ...base, kind: 'assign', places: invocation.places }
    case 'subscribe':
      return { ...base, kind: 'subscribe', group: invocation.group }
    case 'commit':
      return { ...base, kind: 'commit', group: invocation.group, places: invocation.places }
    case 'committed':
      return { ...base, kind: 'committed', group: invocation.group, places: completion?.places ?? [] }
    case 'ends':
      return { ...base, kind: 'ends', isolation: invocation.isolation, places: completion?.places ?? [] }
    case 'read':
      return { ...base, kind: 'read', key: invocation.key, value: completion?.value ?? null }
    case 'join':
      return { ...base, kind: 'join', group: invocation.group, rules: invocation.rules }
    case 'acquire':
      return { ...base, kind: 'acquire', group: invocation.group, records: completion?.delivered ?? [] }
    case 'acknowledge': {
      const { group, verdicts } = invocation
      return {
        ...base,
        kind: 'acknowledge',
        group,
        verdicts,
        taken: completion?.taken ?? [],
        refused: completion?.refused ?? [],
      }
    }
    case 'share-progress': {
      const { places = [], drained = [] } = completion ?? {}
      return { ...base, kind: 'share-progress', group: invocation.group, places, drained }
    }
  }
}

/** Only who asks for it commits a transaction: of one that was to end otherwise it is certain that it did not happen. */
function toTransaction(
  { sends, consumed, end }: AskedTransaction,
  completion: Answered | null,
  base: Omit<DataOperation, 'kind' | 'steps'>,
): DataOperation {
  const outcome = end === 'commit' ? base.outcome : 'fail'
  const offsets = outcome === 'ok' ? completion?.offsets : undefined
  const steps = sends.map(({ key, value }, slot) => {
    return { step: 'send' as const, key, value, offset: offsets?.[slot] ?? null }
  })
  return { ...base, outcome, kind: 'txn', steps, ...(consumed === undefined ? {} : { consumed }) }
}
