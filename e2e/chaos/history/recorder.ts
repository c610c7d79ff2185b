import { createWriteStream, type WriteStream } from 'node:fs'
import type { Answered, Asked, HistoryEvent } from './history-event.ts'
import { HistoryBuilder, historyHead } from './history-file.ts'
import type { History } from './operation.ts'

/** Writes down what happens, with its time, before it is asked and after it was answered: in a file and for the checker. */
export class Recorder {
  readonly #beginMs = performance.now()
  readonly #builder = new HistoryBuilder()
  readonly #file: WriteStream
  #nextId = 0

  constructor(path: string, seed: number) {
    this.#file = createWriteStream(path)
    this.#file.write(`${JSON.stringify(historyHead(seed))}\n`)
  }

  /** Milliseconds since the run began, to the hundredth. */
  get nowMs(): number {
    return Math.round((performance.now() - this.#beginMs) * 100) / 100
  }

  /** Before an operation is asked; the answer names it. */
  invoke(process: string, asked: Asked): number {
    const id = this.#nextId++
    this.#add({ type: 'invoke', id, process, ms: this.nowMs, ...asked })
    return id
  }

  complete(id: number, answered: Answered): void {
    this.#add({ type: 'complete', id, ms: this.nowMs, ...answered })
  }

  /** Before anything is broken; one that gets no {@link detail} broke nothing. */
  fault(kind: string): number {
    const id = this.#nextId++
    this.#add({ type: 'fault', id, ms: this.nowMs, kind })
    return id
  }

  detail(id: number, detail: string, nodes: readonly number[]): void {
    this.#add({ type: 'fault-detail', id, ms: this.nowMs, detail, nodes })
  }

  endFault(id: number): void {
    this.#add({ type: 'fault-end', id, ms: this.nowMs })
  }

  healed(): void {
    this.#add({ type: 'healed', ms: this.nowMs })
  }

  /** Ends the file and gives the whole history. */
  async finish(): Promise<History> {
    this.#add({ type: 'end', ms: this.nowMs })
    await new Promise<void>((resolve, reject) => {
      this.#file.once('error', reject)
      this.#file.end(resolve)
    })
    return this.#builder.build()
  }

  #add(event: HistoryEvent): void {
    this.#builder.add(event)
    this.#file.write(`${JSON.stringify(event)}\n`)
  }
}
