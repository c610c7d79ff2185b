import type { Task, TaskResult } from './task.ts'

/** What a process of the pool tells. */
export type FromWorker = { readonly kind: 'alive' } | { readonly kind: 'done'; readonly result: TaskResult }

/** Exit code of a process that has nothing left to do, and yet its task has not ended: storage waits for what nobody will do. */
export const STUCK = 21
const ALIVE_MS = 1000

/** Does the tasks that the parent sends, one at a time, until it ends. `run` asks `isAborted` again and again while it goes on. */
export function serveTasks(run: (task: Task, isAborted: () => boolean) => Promise<TaskResult>): void {
  let toldMs = 0
  const isAborted = (): boolean => {
    const nowMs = performance.now()
    if (process.connected && nowMs - toldMs > ALIVE_MS) {
      toldMs = nowMs
      tell({ kind: 'alive' })
    }
    return !process.connected
  }
  process.on('message', (task: Task) => {
    // A task that waits for nothing that will ever happen shows as a loop with nothing to do: the parent is not waited for meanwhile.
    process.channel?.unref()
    run(task, isAborted).then(
      (result) => {
        process.channel?.ref()
        tell({ kind: 'done', result })
      },
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      },
    )
  })
  process.on('beforeExit', () => process.exit(STUCK))
  process.on('disconnect', () => process.exit(0))
}

function tell(message: FromWorker): void {
  process.send?.(message)
}
