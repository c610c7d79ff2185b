import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { endWithParent } from '../harness/own-group.ts'
import { places } from '../harness/places.ts'
import { exitCode, tail } from '../harness/run.ts'
import type { Acknowledged } from './history.ts'
import type { Load, LoadOptions } from './load.ts'

/** A producer of librdkafka, in a Python process. */
export function startLibrdkafkaLoad(options: LoadOptions): Load {
  return startProgramLoad(places.python, 'librdkafka_load.py', options)
}

/** A producer of kafka-python, which is written in Python alone. It has no idempotent one. */
export function startKafkaPythonLoad(options: LoadOptions): Load {
  return startProgramLoad(places.python, 'kafka_python_load.py', options)
}

/** A producer of kafkajs. Its codecs are none and gzip. */
export function startKafkaJsLoad(options: LoadOptions): Load {
  return startProgramLoad(process.execPath, 'kafkajs-load.ts', options)
}

/** Each client is a process of its own: one that must end at once can be killed, whatever it is waiting for. */
function startProgramLoad(
  command: string,
  file: string,
  { bootstrap, topic, name, kind, codec, ratePerSecond }: LoadOptions,
): Load {
  const program = join(import.meta.dirname, 'programs', file)
  const args = [program, bootstrap, topic, name, kind, codec, String(ratePerSecond)]
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  endWithParent(child)
  const exit = exitCode(child)
  // Whoever asks for the history gets the failure; until then it must not end the process.
  exit.catch(() => child.stdin.destroy())
  // One that has ended breaks the pipe; its exit code tells the story.
  child.stdin.on('error', () => child.stdin.destroy())
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
    acknowledged: () => acknowledged,
    finish: async () => {
      child.stdin.end()
      const code = await exit
      if (code !== 0 || sentCount < 0) throw new Error(`${name} ended with ${code}\n${stderr}`)
      return { name, kind, sentCount, acknowledged }
    },
    abandon: () => {
      child.kill('SIGKILL')
    },
  }
}
