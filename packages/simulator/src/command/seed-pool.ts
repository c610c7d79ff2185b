import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { MUTATION_VARIABLE } from '../mutations/mutation.ts'
import type { Layer, RunResult } from '../run-result.ts'
import type { Job, Report } from './seed-program.ts'

export interface PoolOptions {
  readonly layer: Layer
  readonly first: number
  readonly count: number
  readonly isChecked: boolean
  readonly jobs: number
  /** A defect that the processes run with; empty: none. */
  readonly mutation: string
  /** Called with each result. True: enough, the rest of the seeds is not run. */
  onResult(result: RunResult, processorMs: number): boolean
}

/** Seeds that a process gets at once: few enough that all end at about the same time. */
const SEEDS_PER_JOB = { consensus: 10, cluster: 1 } as const

/** Nearly all garbage of an event dies young: with more room for the young, a fifth of the processor time of a cluster seed is saved. */
const HEAP_FLAGS = ['--max-semi-space-size=64']

/** Runs seeds in processes of their own. Resolves to the defect that was in place; rejects if a process ended by itself. */
export function runSeeds(options: PoolOptions): Promise<string> {
  const { layer, first, count, isChecked, jobs, mutation, onResult } = options
  let next = first
  let applied = ''
  const nextJob = (): Job | null => {
    const size = Math.min(SEEDS_PER_JOB[layer], first + count - next)
    if (size <= 0) return null
    const seeds = Array.from({ length: size }, (_, slot) => next + slot)
    next += size
    return { layer, seeds, isChecked }
  }
  const children: ChildProcess[] = []
  const runOne = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const child = start(mutation)
      children.push(child)
      let isDone = false
      let errors = ''
      const finish = (): void => {
        isDone = true
        child.disconnect()
      }
      child.stderr!.on('data', (bytes: Buffer) => {
        errors = (errors + bytes.toString()).slice(-4_000)
      })
      child.on('message', (report: Report) => {
        if (isDone) return
        if (report.kind === 'result') {
          if (!onResult(report.result, report.processorMs)) return
          next = first + count
          finish()
          return
        }
        applied = report.applied
        const job = nextJob()
        if (job === null) finish()
        else child.send(job)
      })
      child.on('error', reject)
      child.on('exit', (code) => {
        if (isDone) resolve()
        else reject(new Error(`a process that ran seeds ended with ${code}: ${errors}`))
      })
    })
  return Promise.all(Array.from({ length: Math.max(1, jobs) }, runOne)).then(
    () => applied,
    (error: unknown) => {
      for (const child of children) child.kill()
      throw error
    },
  )
}

function start(mutation: string): ChildProcess {
  const hook = join(import.meta.dirname, '../mutations/replace-source.ts')
  return fork(join(import.meta.dirname, 'seed-program.ts'), [], {
    execArgv: [...HEAP_FLAGS, ...(mutation === '' ? [] : ['--import', hook])],
    env: { ...process.env, [MUTATION_VARIABLE]: mutation },
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  })
}
