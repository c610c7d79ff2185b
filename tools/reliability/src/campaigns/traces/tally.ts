import { type Evaluations, FAULT_CLASSES, type FaultClass, INVARIANTS } from '@millrace/storage/testing'

/** After so many failures the rest would say the same. */
const FAILURES_MAX = 10

/** As one process hands it to another. */
export interface TallyResult {
  readonly figures: Readonly<Record<string, number>>
  readonly failures: readonly string[]
}

/** What an attack on storage has seen so far, and what was wrong. */
export class Tally implements TallyResult {
  readonly figures: Record<string, number>
  readonly failures: string[]
  readonly #failuresMax: number

  /** `failuresMax`: the attack ends with so many. */
  constructor(failuresMax = FAILURES_MAX) {
    this.figures = {}
    this.failures = []
    this.#failuresMax = failuresMax
  }

  get isStopped(): boolean {
    return this.failures.length >= this.#failuresMax
  }

  /** Adds what another has seen. */
  merge({ figures, failures }: TallyResult): void {
    this.addAll(figures)
    this.failures.push(...failures)
  }

  add(name: string, count = 1): void {
    this.figures[name] = (this.figures[name] ?? 0) + count
  }

  addAll(counts: Readonly<Record<string, number>>): void {
    for (const [name, count] of Object.entries(counts)) this.add(name, count)
  }

  addEvaluations(evaluations: Evaluations): void {
    for (const name of INVARIANTS) this.add(`${name}Checks`, evaluations[name])
  }

  addFault({ kind, operation }: FaultClass, firedCount: number): void {
    this.add(faultName({ kind, operation }), firedCount)
  }

  /** Runs one check; what it throws is a failure, with what makes it happen again. */
  async attempt(name: string, check: () => Promise<void>): Promise<void> {
    try {
      await check()
    } catch (error) {
      this.failures.push(`${name}: ${reasonsOf(error)}`)
    }
  }
}

/** As a figure: `eioSync`, `noSpaceWrite`. */
export function faultName({ kind, operation }: FaultClass): string {
  const words = `${kind === 'input/output error' ? 'eio' : kind} ${operation}`.split(' ')
  return words.map((word, slot) => (slot === 0 ? word : word[0]!.toUpperCase() + word.slice(1))).join('')
}

/** Names of the classes that never befell anything. */
export function missingFaults(figures: Readonly<Record<string, number>>): string[] {
  return FAULT_CLASSES.map(faultName).filter((name) => (figures[name] ?? 0) === 0)
}

const DAMAGES = [
  'flippedBits',
  'damagedLogFiles',
  'damagedIndexes',
  'damagedMarks',
  'damagedSizes',
  'damagedProducers',
  'lostIndexes',
]

/** What a long run must have looked at, and did not: such checks hold. */
export function missingChecks(figures: Readonly<Record<string, number>>): string[] {
  const wanted = [...INVARIANTS.map((name) => `${name}Checks`), ...DAMAGES]
  return wanted.filter((name) => (figures[name] ?? 0) === 0)
}

/** The message of an error with those of its causes, and where the innermost was thrown. */
export function reasonsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.cause !== undefined) return `${error.message}: ${reasonsOf(error.cause)}`
  const isExpected = error.name === 'InvariantError'
  const at = isExpected
    ? ''
    : ` (${error.stack
        ?.split('\n')
        .slice(1, 4)
        .map((line) => line.trim())
        .join(' ')})`
  return `${error.message}${at}`
}
