import type { HistoryEvent, Invocation } from './history-event.ts'
import { toOperation } from './history-event.ts'
import type { FaultSpan, History, Operation } from './operation.ts'

/** The first line of a history file tells its format; each other line is one event, in the order of time. */
export interface HistoryHead {
  readonly format: 'millrace-chaos-history'
  readonly version: 1
  readonly seed: number
}

export function historyHead(seed: number): HistoryHead {
  return { format: 'millrace-chaos-history', version: 1, seed }
}

/** Reads a history file. A last line that was cut off, as a run that was killed leaves it, is passed over; anything else wrong throws. */
export function readHistory(text: string): { head: HistoryHead; history: History } {
  const lines = text.split('\n')
  const head = parse(lines[0] ?? '', 1) as HistoryHead
  if (head.format !== 'millrace-chaos-history') throw new Error('this is no history of a chaos run')
  if (head.version !== 1) throw new Error(`histories of version ${head.version} are not known here`)
  const builder = new HistoryBuilder()
  for (const [slot, line] of lines.slice(1).entries()) {
    const isLast = slot === lines.length - 2
    // A whole line ends with a line feed, so what stands behind the last one was cut off.
    if (line === '' || isLast) continue
    builder.add(parse(line, slot + 2) as HistoryEvent)
  }
  return { head, history: builder.build() }
}

function parse(line: string, number: number): unknown {
  try {
    return JSON.parse(line)
  } catch (error) {
    throw new Error(`line ${number} is damaged: ${line.slice(0, 80)}`, { cause: error })
  }
}

/** Puts events together to operations and spans. */
export class HistoryBuilder {
  readonly #open = new Map<number, Invocation>()
  readonly #openFaults = new Map<number, FaultSpan>()
  readonly #operations: Operation[] = []
  readonly #faults: FaultSpan[] = []
  #healedMs: number | null = null
  #lastMs = 0

  add(event: HistoryEvent): void {
    this.#lastMs = Math.max(this.#lastMs, event.ms)
    switch (event.type) {
      case 'invoke':
        this.#open.set(event.id, event)
        return
      case 'complete': {
        const invocation = this.#open.get(event.id)
        if (invocation === undefined) throw new Error(`operation ${event.id} ended without having begun`)
        this.#open.delete(event.id)
        this.#operations.push(toOperation(invocation, event))
        return
      }
      case 'fault':
        this.#openFaults.set(event.id, {
          kind: event.kind,
          detail: '',
          nodes: [],
          beginMs: event.ms,
          brokenMs: event.ms,
          endMs: Number.POSITIVE_INFINITY,
        })
        return
      case 'fault-detail':
        this.#openFaults.set(event.id, {
          ...this.#faultOf(event.id),
          detail: event.detail,
          nodes: event.nodes,
          brokenMs: event.ms,
        })
        return
      case 'fault-end': {
        const fault = this.#faultOf(event.id)
        this.#openFaults.delete(event.id)
        // One that found nothing to break did nothing.
        if (fault.detail !== '') this.#faults.push({ ...fault, endMs: event.ms })
        return
      }
      case 'healed':
        this.#healedMs = event.ms
        return
      case 'end':
        return
    }
  }

  #faultOf(id: number): FaultSpan {
    const fault = this.#openFaults.get(id)
    if (fault === undefined) throw new Error(`fault ${id} has not begun`)
    return fault
  }

  /** What is known so far. */
  build(): History {
    const unknown = [...this.#open.values()].map((invocation) => toOperation(invocation, null))
    return {
      operations: [...this.#operations, ...unknown],
      faults: [...this.#faults, ...this.#openFaults.values()].sort((left, right) => left.beginMs - right.beginMs),
      healedMs: this.#healedMs ?? this.#lastMs,
      endMs: this.#lastMs,
    }
  }
}
