import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Admin, Producer } from '@millrace/client'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readTopic } from '../crash/read-topic.ts'
import { places, requirePlace } from '../harness/places.ts'
import { exitCode, exitInTime } from '../harness/run.ts'
import { until } from '../harness/until.ts'

/** Goal: `millrace start --cluster 3`, as a user has it: starts, survives the loss of a node, stops, and comes back. */

let directory = ''
let child: ChildProcess | null = null

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-local-'))
})

afterEach(async () => {
  if (child !== null && child.exitCode === null && child.signalCode === null) {
    const exit = exitCode(child)
    child.kill('SIGKILL')
    await exit
  }
  rmSync(directory, { recursive: true, force: true })
})

interface Running {
  ports: number[]
  pids: number[]
  logLines: string[]
  stop(): Promise<void>
}

async function start(): Promise<Running> {
  const args = [
    'start',
    '--cluster',
    '3',
    '--port',
    '0',
    '--data-dir',
    directory,
    '--set',
    'default.replication.factor=3',
  ]
  const started = spawn(process.execPath, [requirePlace(places.millrace), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child = started
  const exit = exitCode(started)
  const logLines: string[] = []
  createInterface({ input: started.stderr }).on('line', (line) => logLines.push(line))
  const found = new Map<number, { port: number; pid: number }>()
  createInterface({ input: started.stdout }).on('line', (line) => {
    const [, port, node, pid] = /^ready 127\.0\.0\.1:(\d+) node (\d) pid (\d+) in \d+ ms$/.exec(line) ?? []
    if (port !== undefined) found.set(Number(node), { port: Number(port), pid: Number(pid) })
  })
  await until(
    'all nodes are ready',
    () => {
      if (started.exitCode !== null) throw new Error(`it ended with ${started.exitCode}\n${logLines.join('\n')}`)
      return found.size === 3
    },
    90_000,
  )
  const nodes = [1, 2, 3].map((id) => found.get(id)!)
  return {
    ports: nodes.map(({ port }) => port),
    pids: nodes.map(({ pid }) => pid),
    logLines,
    stop: () => {
      started.kill('SIGTERM')
      return exitInTime(started, exit, 60_000).then(
        (code) => {
          if (code !== 0) throw new Error(`it stopped with ${code}\n${logLines.slice(-30).join('\n')}`)
        },
        (cause: unknown) => {
          throw new Error(`it did not stop\n${logLines.slice(-30).join('\n')}`, { cause })
        },
      )
    },
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

/** Until then leaders change, and what reads the topic below gives up when it meets one that leads no more. */
async function untilWhole(ports: readonly number[], topic: string): Promise<void> {
  const admin = new Admin({ bootstrapServers: ports.map((port) => `127.0.0.1:${port}`).join(',') })
  try {
    const isWhole = async () => {
      const [found] = await admin.describeTopics([topic])
      return found?.error === null && found.partitions.every(({ leader, isr }) => leader >= 0 && isr.length === 3)
    }
    await until('all replicas are in sync', isWhole, 60_000)
  } finally {
    await admin.close()
  }
}

it('starts three nodes, goes on without one, stops in order, and comes back with everything', async () => {
  const first = await start()
  const bootstrapServers = first.ports.map((port) => `127.0.0.1:${port}`).join(',')
  const admin = new Admin({ bootstrapServers })
  const producer = new Producer({ bootstrapServers, requestTimeoutMs: 3000 })
  try {
    const [created] = await admin.createTopics([{ name: 'local', partitions: 3 }])
    expect(created!.error).toBeNull()
    const send = (from: number) =>
      Promise.all(
        Array.from({ length: 30 }, (_, i) => producer.send({ topic: 'local', partition: i % 3, value: `${from + i}` })),
      )
    await send(0)
    process.kill(first.pids[1]!, 'SIGKILL')
    await send(30)
    expect(first.logLines.join('\n')).toMatch(/millrace: node 2 ended \(SIGKILL\); 2 go on/)
  } finally {
    await producer.close()
    await admin.close()
  }
  await first.stop()
  expect(first.pids.filter(isRunning)).toEqual([])

  const second = await start()
  expect(second.ports).toEqual(first.ports)
  await untilWhole(second.ports, 'local')
  const { stored } = await readTopic(`127.0.0.1:${second.ports[1]}`, 'local')
  const values = stored.map(({ value }) => Number(value)).sort((a, b) => a - b)
  expect(values).toEqual(Array.from({ length: 60 }, (_, i) => i))
  await second.stop()
})

it('leaves no node behind when it is killed itself', async () => {
  const { pids } = await start()
  const exit = exitCode(child!)
  child!.kill('SIGKILL')
  await exit
  await until('the nodes have stopped', () => pids.every((pid) => !isRunning(pid)), 60_000)
})
