import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { endWithParent } from '../harness/own-group.ts'
import { places } from '../harness/places.ts'
import { exitCode, tail } from '../harness/run.ts'
import { Consumed } from './check-consumed.ts'

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
  /** All that it was given so far. */
  readonly consumed: Consumed
  finish(): Promise<void>
  /** Ends it at once. Does nothing after `finish`. */
  abandon(): void
}

/** A consumer of librdkafka, in a Python process. */
export function startGroupLoad({ bootstrap, topic, group, isMember }: GroupLoadOptions): GroupLoad {
  const program = join(import.meta.dirname, 'programs/librdkafka_group.py')
  const args = [program, bootstrap, topic, group, isMember ? 'subscribe' : 'assign']
  const child = spawn(places.python, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  endWithParent(child)
  const exit = exitCode(child)
  // Whoever finishes it gets the failure; until then it must not end the process.
  exit.catch(() => child.stdin.destroy())
  // One that has ended breaks the pipe; its exit code tells the story.
  child.stdin.on('error', () => child.stdin.destroy())
  const committed = new Map<number, number>()
  const consumed = new Consumed()
  let commitCount = 0
  let hasEnded = false
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = tail(stderr + chunk.toString())
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [partition, offset, head] = line.split(' ')
    if (partition === 'unknown') hasEnded = true
    else if (head !== undefined) consumed.add(Number(partition), Number(offset), head)
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
    consumed,
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
