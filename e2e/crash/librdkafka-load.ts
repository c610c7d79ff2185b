import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { places } from '../harness/places.ts'
import { exitCode, tail } from '../harness/run.ts'
import type { Acknowledged } from './history.ts'
import type { Load, LoadOptions } from './load.ts'

/** A producer of librdkafka, in a Python process. */
export function startLibrdkafkaLoad({ bootstrap, topic, name, idempotent, ratePerSecond }: LoadOptions): Load {
  const program = join(import.meta.dirname, 'programs/librdkafka_load.py')
  const args = [program, bootstrap, topic, name, idempotent ? 'idempotent' : 'plain', String(ratePerSecond)]
  const child = spawn(places.python, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  const exit = exitCode(child)
  const acknowledged: Acknowledged[] = []
  let sentCount = -1
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = tail(stderr + chunk.toString())
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [sequence, partition, offset] = line.split(' ')
    if (sequence === 'sent') sentCount = Number(partition)
    else
      acknowledged.push({
        producer: name,
        sequence: Number(sequence),
        partition: Number(partition),
        offset: offset === '-' ? null : Number(offset),
      })
  })
  return {
    name,
    acknowledgedCount: () => acknowledged.length,
    finish: async () => {
      child.stdin.end()
      const code = await exit
      if (code !== 0 || sentCount < 0) throw new Error(`${name} ended with ${code}\n${stderr}`)
      return { name, idempotent, sentCount, acknowledged }
    },
    abandon: () => {
      child.kill('SIGKILL')
    },
  }
}
