const WIDTH = 30

/** A bar on a terminal, and on anything else a line now and then. */
export class Progress {
  readonly #stream: NodeJS.WriteStream
  readonly #startMs: number
  #shownMs = 0
  #isOpen = false

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
    this.#startMs = performance.now()
  }

  show(doneCount: number, totalCount: number): void {
    const nowMs = performance.now()
    const isLast = doneCount >= totalCount
    if (!isLast && nowMs - this.#shownMs < (this.#stream.isTTY ? 100 : 30_000)) return
    this.#shownMs = nowMs
    const share = totalCount > 0 ? Math.min(1, doneCount / totalCount) : 1
    const leftSeconds = share > 0 ? ((nowMs - this.#startMs) / 1000) * (1 / share - 1) : 0
    const bar = '█'.repeat(Math.round(share * WIDTH)).padEnd(WIDTH, '░')
    const counts = `${doneCount.toLocaleString('en')} of ${totalCount.toLocaleString('en')}`
    const line = `${bar} ${counts}, ${Math.ceil(leftSeconds)} s left`
    if (this.#stream.isTTY) this.#stream.write(`\r${line}\x1b[K`)
    else this.#stream.write(`${line}\n`)
    this.#isOpen = this.#stream.isTTY
  }

  /** Ends the bar's line so that another can be written. */
  end(): void {
    if (this.#isOpen) this.#stream.write('\n')
    this.#isOpen = false
  }
}
