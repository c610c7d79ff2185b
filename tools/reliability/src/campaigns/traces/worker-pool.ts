import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { Task, TaskResult } from './task.ts'

/**
 * Processes that do tasks of the campaign, one each at a time: simulated disks know no waiting, so one process keeps one core busy. A
 * process that dies takes the campaign with it.
 */
export class WorkerPool {
  readonly #idle: ChildProcess[]
  readonly #all: ChildProcess[]

  constructor(count: number) {
    this.#all = Array.from({ length: count }, () => fork(join(import.meta.dirname, 'traces-program.ts'), []))
    this.#idle = [...this.#all]
    for (const worker of this.#all) worker.on('error', () => undefined)
  }

  /** At most as many at a time as there are processes. Rejects if the process ends before it has answered. */
  run(task: Task): Promise<TaskResult> {
    const worker = this.#idle.pop()
    if (worker === undefined) throw new Error('more tasks at a time than processes')
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null, signal: string | null): void =>
        reject(new Error(`a process that did ${JSON.stringify(task)} ended with ${code ?? signal}`))
      worker.once('exit', onExit)
      worker.once('message', (result) => {
        worker.off('exit', onExit)
        this.#idle.push(worker)
        resolve(result as TaskResult)
      })
      worker.send(task)
    })
  }

  end(): void {
    for (const worker of this.#all) worker.kill()
  }
}
