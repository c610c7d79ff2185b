import { runTask, type Task } from './task.ts'

/** A process that does the tasks it is sent, one at a time, until its parent ends. See `WorkerPool`. */
process.on('message', (task: Task) => {
  runTask(task, () => !process.connected).then(
    (result) => process.send?.(result),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})
process.on('disconnect', () => process.exit(0))
