const WIDTH = 30

/** A bar on a terminal, and on anything else a line now and then. */
export class Progress {
  readonly #stream: NodeJS.WriteStream
  #shownMs = 0
  #isOpen = false

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
  }

  show(doneSeconds: number, totalSeconds: number, note: string): void {
    const nowMs = performance.now()
    if (nowMs - this.#shownMs < (this.#stream.isTTY ? 200 : 30_000)) return
    this.#shownMs = nowMs
    const share = totalSeconds > 0 ? Math.min(1, doneSeconds / totalSeconds) : 1
    const bar = '█'.repeat(Math.round(share * WIDTH)).padEnd(WIDTH, '░')
    const line = `${bar} ${Math.floor(doneSeconds)} of ${totalSeconds} s, ${note}`
    this.#stream.write(this.#stream.isTTY ? `\r${line}\x1b[K` : `${line}\n`)
    this.#isOpen = this.#stream.isTTY
  }

  /** A line of its own, with the seconds since the start of this process. */
  tell(what: string): void {
    this.end()
    this.#stream.write(`${Math.round(performance.now() / 1000)} s: ${what}\n`)
  }

  /** Ends the bar's line so that another can be written. */
  end(): void {
    if (this.#isOpen) this.#stream.write('\n')
    this.#isOpen = false
  }
}
