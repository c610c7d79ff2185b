/** Everything that a history can show and that deserves a name. `int-`: inside one poll or transaction. */
export const anomalyKinds = [
  'inconsistent-offsets',
  'stale-leader-ack',
  'invented-value',
  'duplicate',
  'lost-write',
  'unseen',
  'aborted-read',
  'precommitted-read',
  'torn-transaction',
  'read-cycle',
  'future-read',
  'G1c',
  'G0',
  'poll-skip',
  'int-poll-skip',
  'nonmonotonic-poll',
  'int-nonmonotonic-poll',
  'nonmonotonic-send',
  'int-nonmonotonic-send',
  'int-send-skip',
  'offset-regress',
  'invented-offset',
  'consume-count',
  'skipped-input',
  'hanging-transaction',
  'undelivered',
  'given-up-early',
  'delivered-again',
  'held-twice',
  'overdelivered',
  'watermark-regress',
  'stale-read',
  'stuck',
] as const

export type AnomalyKind = (typeof anomalyKinds)[number]

export interface Anomaly {
  readonly kind: AnomalyKind
  readonly message: string
}

/** What clients ask of the cluster, and thus what it owes them. */
export interface Profile {
  readonly acks: 'all' | '1'
  readonly isIdempotent: boolean
  readonly isolation: 'read_committed' | 'read_uncommitted'
  /** What is read and what comes of it is committed together, so each input is processed once. */
  readonly isTransactional: boolean
  /**
   * Whether reading the end of a log must tell of everything acknowledged before. Kafka does not owe it while a deposed leader that
   * cannot know it yet still answers: one that was paused or cut off.
   */
  readonly mustReadNewest: boolean
}

/** The strongest promise of the protocol. */
export const safeProfile: Profile = {
  acks: 'all',
  isIdempotent: true,
  isolation: 'read_committed',
  isTransactional: true,
  mustReadNewest: true,
}

/** Whether an anomaly breaks no promise. Those that the protocol never excludes are counted all the same: a checker that is blind shows by it. */
export function isAllowed(kind: AnomalyKind, profile: Profile): boolean {
  switch (kind) {
    case 'G0':
    case 'G1c':
    case 'int-send-skip':
      return true
    case 'duplicate':
    case 'nonmonotonic-send':
    case 'int-nonmonotonic-send':
      return !profile.isIdempotent
    case 'lost-write':
    case 'unseen':
    case 'inconsistent-offsets':
    case 'stale-leader-ack':
      return profile.acks !== 'all'
    case 'aborted-read':
    case 'torn-transaction':
    case 'precommitted-read':
      return profile.isolation === 'read_uncommitted'
    case 'consume-count':
      return !profile.isTransactional
    case 'stale-read':
      return !profile.mustReadNewest
    default:
      return false
  }
}

const EXAMPLES = 10

/** Collects anomalies: all are counted, the first few of each kind are told. */
export class Findings {
  readonly #counts = new Map<AnomalyKind, number>()
  readonly #examples: Anomaly[] = []

  add(kind: AnomalyKind, message: string): void {
    const count = (this.#counts.get(kind) ?? 0) + 1
    this.#counts.set(kind, count)
    if (count <= EXAMPLES) this.#examples.push({ kind, message })
  }

  count(kind: AnomalyKind): number {
    return this.#counts.get(kind) ?? 0
  }

  /** Kinds that were found, in the order of {@link anomalyKinds}. */
  kinds(): AnomalyKind[] {
    return anomalyKinds.filter((kind) => this.#counts.has(kind))
  }

  examples(): readonly Anomaly[] {
    return this.#examples
  }
}
