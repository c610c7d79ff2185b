import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

type Told<Report> =
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'report'; readonly report: Report }

/** A load as the campaign sees it: a process that can be asked how it goes, and that ends with all its connections at once. */
export class LoadProcess<Report> {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /**
   * Runs a program that calls {@link runLoad}, in a process of its own, so that what it costs is not measured as the broker's latency.
   * Resolves when the load runs; rejects if it cannot.
   */
  static async start<Plan extends object, Report>(program: string, plan: Plan): Promise<LoadProcess<Report>> {
    const child = fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const load = new LoadProcess<Report>(child)
    child.send(plan)
    const told = await load.#next()
    if (told.kind === 'ready') return load
    await load.kill()
    throw new Error(told.kind === 'failed' ? told.reason : `the load told its ${told.kind} first`)
  }

  async report(): Promise<Report> {
    this.#child.send('report')
    const told = await this.#next()
    if (told.kind !== 'report') throw new Error(`the load answered ${told.kind}`)
    return told.report
  }

  /** Every connection ends at once, as when a rack loses its power. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await gone
  }

  #next(): Promise<Told<Report>> {
    return new Promise((resolve, reject) => {
      const onExit = () => reject(new Error('the load’s process ended by itself'))
      this.#child.once('exit', onExit)
      this.#child.once('message', (told: Told<Report>) => {
        this.#child.removeListener('exit', onExit)
        resolve(told)
      })
    })
  }
}

/** The other side: starts the load that the campaign's plan describes, and tells of it when asked. */
export function runLoad<Plan extends object, Report>(start: (plan: Plan) => Promise<() => Report>): void {
  const tell = (told: Told<Report>) => process.send?.(told)
  let report: (() => Report) | null = null
  process.on('message', (message: Plan | 'report') => {
    if (message === 'report') {
      if (report !== null) tell({ kind: 'report', report: report() })
      return
    }
    start(message as Plan).then(
      (started) => {
        report = started
        tell({ kind: 'ready' })
      },
      (error: unknown) => tell({ kind: 'failed', reason: String(error) }),
    )
  })
  // The campaign is gone, however it ended.
  process.on('disconnect', () => process.exit(0))
}
