import { serveTasks } from './serve-tasks.ts'
import { runTask } from './task.ts'

/** A process that does tasks of the campaign. See `WorkerPool`. */
serveTasks(runTask)
