import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { places } from '../harness/places.ts'
import { exitCode, tail } from '../harness/run.ts'

export interface GroupLoadOptions {
  readonly bootstrap: string
  readonly topic: string
  readonly group: string
  /** A member of the group, or one that takes all partitions and only commits to it. */
  readonly isMember: boolean
}

/** A consumer that commits its positions, over all crashes of its broker. */
export interface GroupLoad {
  readonly group: string
  readonly topic: string
  /** The newest position by partition whose commit was acknowledged. A view that goes on changing. */
  committed(): ReadonlyMap<number, number>
  commitCount(): number
  finish(): Promise<void>
  /** Ends it at once. Does nothing after `finish`. */
  abandon(): void
}

/** A consumer of librdkafka, in a Python process. */
export function startGroupLoad({ bootstrap, topic, group, isMember }: GroupLoadOptions): GroupLoad {
  const program = join(import.meta.dirname, 'programs/librdkafka_group.py')
  const args = [program, bootstrap, topic, group, isMember ? 'subscribe' : 'assign']
  const child = spawn(places.python, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  const exit = exitCode(child)
  // Whoever finishes it gets the failure; until then it must not end the process.
  exit.catch(() => child.stdin.destroy())
  const committed = new Map<number, number>()
  let commitCount = 0
  let hasEnded = false
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = tail(stderr + chunk.toString())
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [partition, offset] = line.split(' ')
    if (partition === 'unknown') hasEnded = true
    else {
      committed.set(Number(partition), Number(offset))
      commitCount++
    }
  })
  return {
    group,
    topic,
    committed: () => committed,
    commitCount: () => commitCount,
    finish: async () => {
      child.stdin.end()
      const code = await exit
      if (code !== 0 || !hasEnded) throw new Error(`the consumer of ${group} ended with ${code}\n${stderr}`)
    },
    abandon: () => {
      child.kill('SIGKILL')
    },
  }
}
