import { SeededRandom } from '@millrace/base'
import type { AnomalyKind } from '../checker/anomaly.ts'
import {
  type AcknowledgeOperation,
  type AcquireOperation,
  type DataOperation,
  type EndsOperation,
  type History,
  isData,
  type Operation,
  type Seen,
  type SendStep,
  type ShareProgressOperation,
  type Step,
} from '../history/operation.ts'
import { shareRules } from './build.ts'

/** Spoils a good history in one way, at a place that `pick` chooses. Null: it has no place for it. */
type Mutation = (history: History, pick: Pick) => History | null

type Pick = <T>(choices: readonly T[]) => T | null

export function picker(seed: number): Pick {
  const random = new SeededRandom(seed)
  return (choices) => (choices.length === 0 ? null : choices[random.uint32() % choices.length]!)
}

/** One for each kind that a random history has places for. The others have histories made by hand. */
export const mutations: Partial<Record<AnomalyKind, Mutation>> = {
  'inconsistent-offsets': (history, pick) => {
    // Whoever reads it first stays; the last reader is given something else there.
    const poll = pick(pollsOf(history, 'final').filter(({ seen }) => pollsAt(history, seen).length > 1))
    return poll && replaceSeen(history, poll, [{ ...poll.seen, value: 'something else' }])
  },
  'stale-leader-ack': (history, pick) => {
    const send = pick(acknowledged(history).filter(({ step }) => isSeen(history, step)))
    const target = send && pick(pollsOf(history, 'final').filter(({ seen }) => isElsewhere(seen, send.step)))
    return target && replaceSend(history, send, { ...send.step, offset: target.seen.offset })
  },
  'invented-value': (history, pick) => {
    const poll = pick(pollsOf(history))
    return poll && replaceSeen(history, poll, [{ ...poll.seen, value: 'nobody sent this' }])
  },
  duplicate: (history, pick) => {
    const poll = pick(pollsOf(history, 'final'))
    return poll && replaceSeen(history, poll, [poll.seen, { ...poll.seen, offset: poll.seen.offset + 0.5 }])
  },
  'lost-write': (history, pick) => {
    const isLast = ({ key, offset }: Seen) =>
      !pollsOf(history, 'final').some(({ seen }) => seen.key === key && seen.offset > offset)
    const send = pick(
      acknowledged(history).filter(({ step }) =>
        pollsOf(history, 'final').some(({ seen }) => isSame(seen, step) && !isLast(seen)),
      ),
    )
    return send && withoutValue(history, send.step)
  },
  unseen: (history) => {
    const step: Step = { step: 'send', key: 't/0', value: 'unseen', offset: 1_000_000 }
    return withOperation(history, { kind: 'send', process: 'other', outcome: 'ok', steps: [step] })
  },
  'aborted-read': (history, pick) => {
    const send = pick(acknowledged(history).filter(({ step }) => isSeen(history, step)))
    return send && replaceOperation(history, { ...send.operation, outcome: 'fail' })
  },
  'precommitted-read': (history, pick) => {
    const txn = pick(
      history.operations.filter(isData).filter(({ kind, steps }) => kind === 'txn' && steps.some(isAcknowledged)),
    )
    const own = txn?.steps.find(isAcknowledged)
    if (!txn || !own) return null
    const records = [{ key: own.key, offset: own.offset!, value: own.value }]
    return replaceOperation(history, { ...txn, steps: [...txn.steps, { step: 'poll', records, isRebalanced: true }] })
  },
  'torn-transaction': (history, pick) => {
    const isWhole = ({ kind, outcome, steps }: DataOperation) =>
      kind === 'txn' && outcome === 'ok' && steps.filter(({ step }) => step === 'send').length > 1
    const txn = pick(history.operations.filter(isData).filter(isWhole))
    const part = txn && pick(txn.steps.filter((step) => step.step === 'send'))
    return part && withoutValue(history, part)
  },
  'read-cycle': (history) => {
    const first: Step = { step: 'send', key: 't/0', value: 'first', offset: 1_000_000 }
    const second: Step = { step: 'send', key: 't/1', value: 'second', offset: 1_000_000 }
    const poll = ({ key, offset, value }: SendStep): Step => ({
      step: 'poll',
      records: [{ key, offset: offset!, value }],
      isRebalanced: true,
    })
    const one = withOperation(history, { kind: 'txn', process: 'x', outcome: 'info', steps: [first, poll(second)] })
    return withOperation(one, { kind: 'txn', process: 'y', outcome: 'info', steps: [second, poll(first)] })
  },
  'future-read': (history, pick) => {
    const send = pick(acknowledged(history).filter(({ step }) => isSeen(history, step)))
    const lateMs = history.endMs + 100
    return send && replaceOperation(history, { ...send.operation, invokedMs: lateMs, completedMs: lateMs + 1 })
  },
  'int-poll-skip': (history, pick) => {
    // Not the last reader: what it leaves out must be known from another.
    const poll = pick(
      pollsOf(history).filter(({ operation, seen }) => {
        const own = recordsOf(operation).filter(({ key }) => key === seen.key)
        return operation.process !== 'final' && own.indexOf(seen) > 0 && own.indexOf(seen) < own.length - 1
      }),
    )
    return poll && replaceSeen(history, poll, [])
  },
  'poll-skip': (history, pick) => {
    // The first of its log in a later poll of the final reader, which another has read too; a second one follows it.
    const polls = pollsOf(history, 'final')
    const poll = pick(
      polls.filter(({ operation, seen }) => {
        const own = recordsOf(operation).filter(({ key }) => key === seen.key)
        const isKnown = acknowledged(history).some(({ step }) => isSame(seen, step))
        return seen.offset > 0 && own[0] === seen && own.length > 1 && isKnown
      }),
    )
    return poll && replaceSeen(history, poll, [])
  },
  'nonmonotonic-poll': (history, pick) => {
    const polls = pollsOf(history, 'final')
    const later = pick(
      polls.filter(({ operation, seen }) =>
        polls.some((before) => before.operation.id < operation.id && before.seen.key === seen.key),
      ),
    )
    const before =
      later && polls.find(({ operation, seen }) => operation.id < later.operation.id && seen.key === later.seen.key)
    const first = later && recordsOf(later.operation).find(({ key }) => key === later.seen.key)
    if (!before || !first) return null
    return replaceSeen(history, { operation: later.operation, seen: first }, [before.seen, first])
  },
  'int-nonmonotonic-poll': (history, pick) => {
    const poll = pick(pollsOf(history))
    return poll && replaceSeen(history, poll, [poll.seen, poll.seen])
  },
  'nonmonotonic-send': (history, pick) => {
    const sends = acknowledged(history).filter(({ operation }) => operation.kind === 'send')
    const [one, two] = pick(pairsOf(sends)) ?? []
    return one && two ? replaceSend(history, two, { ...two.step, offset: one.step.offset! - 1 }) : null
  },
  'offset-regress': (history, pick) => {
    const told = pick(history.operations.filter((operation) => operation.kind === 'committed'))
    if (told?.kind !== 'committed') return null
    const isPromised = history.operations.some(
      (commit) => commit.kind === 'commit' && commit.outcome === 'ok' && commit.completedMs < told.invokedMs,
    )
    return isPromised ? replaceOperation(history, { ...told, places: [{ key: 't/0', offset: -1 }] }) : null
  },
  'invented-offset': (history, pick) => {
    const told = pick(history.operations.filter((operation) => operation.kind === 'committed'))
    if (told?.kind !== 'committed') return null
    return replaceOperation(history, { ...told, places: [{ key: 't/0', offset: 1_000_000 }] })
  },
  'consume-count': (history, pick) => {
    const txn = pick(processed(history))
    const step: Step = { step: 'send', key: 't/1', value: 'again', offset: null }
    return txn && withOperation(history, { ...txn, process: 'other', steps: [step] })
  },
  'skipped-input': (history, pick) => {
    const txn = pick(processed(history))
    const [, ...records] = txn?.consumed?.records ?? []
    return txn?.consumed ? replaceOperation(history, { ...txn, consumed: { ...txn.consumed, records } }) : null
  },
  'hanging-transaction': (history) => {
    const ends = { kind: 'ends', process: 'onlooker', outcome: 'ok' } as const
    const places = [{ key: 't/0', offset: 1_000_000 }]
    const all = withOperation(history, { ...ends, isolation: 'read_uncommitted', places })
    return withOperation(all, { ...ends, isolation: 'read_committed', places: [{ key: 't/0', offset: 999_999 }] })
  },
  undelivered: (history) => shared(history, []),
  'given-up-early': (history) => shared(history, [acquire('m', 1), release('m')]),
  'delivered-again': (history, pick) => {
    const accepted = history.operations.flatMap((operation) =>
      operation.kind === 'acknowledge'
        ? operation.taken.filter(({ offset }) =>
            operation.verdicts.some((said) => said.offset === offset && said.verdict === 'accept'),
          )
        : [],
    )
    const { key, offset } = pick(accepted) ?? {}
    const again = pollsOf(history).find(({ seen }) => seen.key === key && seen.offset === offset)
    if (again === undefined) return null
    const polls = [[], [], [{ ...again.seen, count: 2 }]].map((records) => ({ ...acquire('n', 1), records }))
    return polls.reduce<History>(withOperation, history)
  },
  'held-twice': (history) => shared(history, [acquire('m', 1), acquire('n', 2), release('m')]),
  overdelivered: (history) => shared(history, [acquire('m', shareRules.deliveryLimit + 1)]),
  'watermark-regress': (history, pick) => {
    const ends = history.operations.filter((operation) => operation.kind === 'ends')
    const isLater = (operation: Operation) =>
      ends.some(
        (before) =>
          before.process === operation.process &&
          before.completedMs < operation.invokedMs &&
          before.places.some(({ offset }) => offset > 0),
      )
    const later = pick(ends.filter(isLater))
    return later && replaceOperation(history, { ...later, places: later.places.map(({ key }) => ({ key, offset: 0 })) })
  },
  'stale-read': (history, pick) => {
    const writes = acknowledged(history).filter(({ step }) => step.key === 'register/0')
    const stale = history.operations.flatMap((operation) => {
      if (operation.kind !== 'read') return []
      const before = writes.filter((write) => write.operation.completedMs < operation.invokedMs)
      return before.flatMap((old) =>
        before.some((newer) => old.operation.completedMs < newer.operation.invokedMs)
          ? [{ ...operation, value: old.step.value }]
          : [],
      )
    })
    const read = pick(stale)
    return read && replaceOperation(history, read)
  },
}

/** A record that a share group was given after all others. */
const last: SendStep = { step: 'send', key: 't/1', value: 'shared', offset: 1_000_000 }
const lastPlace = { key: last.key, offset: 1_000_000 }
const ofSharers = { group: 'sharers', outcome: 'ok' } as const

function acquire(process: string, count: number): Omit<AcquireOperation, Timing> {
  return { ...ofSharers, kind: 'acquire', process, records: [{ ...lastPlace, value: last.value, count }] }
}

function release(process: string): Omit<AcknowledgeOperation, Timing> {
  const verdicts = [{ ...lastPlace, verdict: 'release' as const }]
  return { ...ofSharers, kind: 'acknowledge', process, verdicts, taken: [lastPlace] }
}

/** With a last record, what its group's members did with it, and the end of it all. */
function shared(history: History, operations: readonly Untimed[]): History {
  const send = { kind: 'send', process: 'other', outcome: 'ok', steps: [last] } as const
  const end = { ...ofSharers, kind: 'share-progress', process: 'onlooker', places: [], drained: [last.key] } as const
  return [send, ...operations, end].reduce<History>(withOperation, history)
}

interface Place {
  readonly operation: DataOperation
  readonly seen: Seen
}

interface Send {
  readonly operation: DataOperation
  readonly step: SendStep
}

const recordsOf = ({ steps }: DataOperation) => steps.flatMap((step) => (step.step === 'poll' ? step.records : []))
const isAcknowledged = (step: Step): step is SendStep => step.step === 'send' && step.offset !== null
const isSame = (left: { key: string; value: string }, right: { key: string; value: string }) =>
  left.key === right.key && left.value === right.value
const isElsewhere = (seen: Seen, step: SendStep) => seen.key === step.key && seen.offset !== step.offset

function pollsOf({ operations }: History, process?: string): Place[] {
  return operations
    .filter(isData)
    .filter((operation) => process === undefined || operation.process === process)
    .flatMap((operation) => recordsOf(operation).map((seen) => ({ operation, seen })))
}

function pollsAt(history: History, { key, offset }: Seen): Place[] {
  return pollsOf(history).filter(({ seen }) => seen.key === key && seen.offset === offset)
}

function isSeen(history: History, step: SendStep): boolean {
  return pollsOf(history).some(({ seen }) => isSame(seen, step))
}

function acknowledged({ operations }: History): Send[] {
  return operations
    .filter(isData)
    .filter(({ outcome }) => outcome === 'ok')
    .flatMap((operation) => operation.steps.filter(isAcknowledged).map((step) => ({ operation, step })))
}

/** An earlier and a later send of one producer to one log. */
function pairsOf(sends: readonly Send[]): [Send, Send][] {
  return sends.flatMap((one) =>
    sends
      .filter(
        (two) =>
          one.operation.id < two.operation.id &&
          one.operation.process === two.operation.process &&
          one.step.key === two.step.key,
      )
      .map((two): [Send, Send] => [one, two]),
  )
}

function replaceOperation(history: History, changed: Operation): History {
  return { ...history, operations: history.operations.map((old) => (old.id === changed.id ? changed : old)) }
}

/** Transactions that have certainly processed something. */
function processed({ operations }: History): DataOperation[] {
  return operations.filter(isData).filter(({ outcome, consumed }) => outcome === 'ok' && consumed !== undefined)
}

type Timing = 'id' | 'invokedMs' | 'completedMs'
type Untimed =
  | DataOperation
  | EndsOperation
  | AcquireOperation
  | AcknowledgeOperation
  | ShareProgressOperation extends infer O
  ? O extends Operation
    ? Omit<O, Timing>
    : never
  : never

/** Adds an operation after all others. */
function withOperation(history: History, operation: Untimed): History {
  const id = history.operations.length
  const invokedMs = history.endMs + id
  const completedMs = operation.outcome === 'info' ? Number.POSITIVE_INFINITY : invokedMs + 0.5
  return { ...history, operations: [...history.operations, { ...operation, id, invokedMs, completedMs }] }
}

function replaceSend(history: History, { operation, step }: Send, changed: SendStep): History {
  return replaceOperation(history, {
    ...operation,
    steps: operation.steps.map((old) => (old === step ? changed : old)),
  })
}

/** Puts other records in the place of one that a poll gave. */
function replaceSeen(history: History, { operation, seen }: Place, changed: readonly Seen[]): History {
  const steps = operation.steps.map((step) =>
    step.step === 'poll' ? { ...step, records: step.records.flatMap((old) => (old === seen ? changed : [old])) } : step,
  )
  return replaceOperation(history, { ...operation, steps })
}

/** Nobody was ever given a value. */
function withoutValue(history: History, value: { key: string; value: string }): History {
  const operations = history.operations.map((operation) => {
    if (operation.kind === 'read' && operation.key === value.key && operation.value === value.value)
      return { ...operation, outcome: 'fail' as const, value: null }
    if (!isData(operation)) return operation
    const steps = operation.steps.map((step) =>
      step.step === 'poll' ? { ...step, records: step.records.filter((seen) => !isSame(seen, value)) } : step,
    )
    return { ...operation, steps }
  })
  return { ...history, operations }
}
