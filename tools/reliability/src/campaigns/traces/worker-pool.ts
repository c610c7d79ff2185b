import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { type FromWorker, STUCK } from './serve-tasks.ts'
import type { Task, TaskResult } from './task.ts'

/** A process tells every second or so that it goes on, between two crashes; a single one takes far less than this. */
const SILENT_MS_MAX = 300_000

export interface WorkerPoolOptions {
  /** A program that calls `serveTasks`. */
  readonly program?: string
  readonly silentMsMax?: number
}

/**
 * Processes that do tasks of the campaign, one each at a time: simulated disks know no waiting, so one process keeps one core busy. One
 * that dies, also while it has nothing to do, or does not go on, is a failure, and is replaced.
 */
export class WorkerPool {
  readonly #program: string
  readonly #silentMsMax: number
  readonly #idle: ChildProcess[]
  readonly #all: Set<ChildProcess>
  readonly #working: Set<ChildProcess>
  /** How processes ended that had nothing to do. */
  #idleEnds: string[]
  #freeCount: number
  #isEnded: boolean

  constructor(count: number, { program, silentMsMax = SILENT_MS_MAX }: WorkerPoolOptions = {}) {
    this.#program = program ?? join(import.meta.dirname, 'traces-program.ts')
    this.#silentMsMax = silentMsMax
    this.#idle = []
    this.#all = new Set()
    this.#working = new Set()
    this.#idleEnds = []
    this.#freeCount = count
    this.#isEnded = false
  }

  /**
   * At most as many at a time as there are processes. A process that ends, or is silent for too long, gives a result with that failure;
   * rejects once the pool was ended.
   */
  async run(task: Task): Promise<TaskResult> {
    if (this.#isEnded) throw new Error('the processes were ended')
    if (this.#freeCount === 0) throw new Error('more tasks at a time than processes')
    this.#freeCount--
    try {
      const result = await this.#perform(this.#idle.pop() ?? this.#hire(), task)
      const ends = this.#idleEnds.splice(0)
      return ends.length === 0 ? result : { ...result, failures: [...result.failures, ...ends] }
    } finally {
      this.#freeCount++
    }
  }

  end(): void {
    this.#isEnded = true
    for (const worker of this.#all) worker.kill('SIGKILL')
  }

  #hire(): ChildProcess {
    const worker = fork(this.#program, [])
    this.#all.add(worker)
    worker.once('exit', (code, signal) => {
      this.#all.delete(worker)
      const slot = this.#idle.indexOf(worker)
      if (slot < 0) return
      this.#idle.splice(slot, 1)
      this.#idleEnds.push(`a process that had nothing to do ended with ${code ?? signal}`)
    })
    // Of one at work, who waits for it is told.
    worker.on('error', (error) => {
      if (!this.#isEnded && !this.#working.has(worker)) this.#idleEnds.push(`a process is lost: ${error.message}`)
    })
    return worker
  }

  #perform(worker: ChildProcess, task: Task): Promise<TaskResult> {
    this.#working.add(worker)
    return new Promise((resolve, reject) => {
      const settle = (end: () => void): void => {
        clearTimeout(timer)
        this.#working.delete(worker)
        worker.off('exit', onExit).off('error', onError).off('message', onMessage)
        end()
      }
      const fail = (how: string): void => {
        worker.kill('SIGKILL')
        const failure = `a process that did ${JSON.stringify(task)} ${how}`
        settle(() => {
          if (this.#isEnded) reject(new Error('the processes were ended'))
          else resolve({ figures: {}, failures: [failure], digest: '', sampledCount: 0 })
        })
      }
      const onExit = (code: number | null, signal: string | null): void =>
        fail(code === STUCK ? 'has nothing left to do: storage never ended something' : `ended with ${code ?? signal}`)
      const onError = (error: Error): void => fail(`is lost: ${error.message}`)
      const onMessage = (message: unknown): void => {
        const told = message as FromWorker
        if (told.kind === 'alive') {
          timer.refresh()
          return
        }
        this.#idle.push(worker)
        settle(() => resolve(told.result))
      }
      const timer = setTimeout(() => fail(`told nothing for ${this.#silentMsMax} ms`), this.#silentMsMax)
      worker.on('exit', onExit).on('error', onError).on('message', onMessage)
      worker.send(task, (error) => {
        if (error !== null) onError(error)
      })
    })
  }
}
