import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBroker } from '../harness/broker.ts'
import { type JavaTool, javaTool } from '../harness/java-tools.ts'
import type { Broker } from '../harness/running-broker.ts'
import { createTopic, endOffsets } from '../harness/topics.ts'
import { until } from '../harness/until.ts'

/** Goal: Kafka's tools move a replica between the log directories of a broker, while it is written to, and see how far that is. */

let broker: Broker
let directory = ''

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-dirs-'))
  const paths = ['a', 'b'].map((name) => join(directory, name))
  broker = await startBroker({ 'log.dirs': paths.join(',') }, { directory })
}, 60_000)

afterAll(() => broker?.dispose())

async function tool(name: JavaTool, ...args: string[]): Promise<string> {
  return (await javaTool(name, ['--bootstrap-server', broker.bootstrap, ...args])).stdout
}

interface Replica {
  logDir: string
  isFuture: boolean
  size: number
}

async function replicas(topic: string): Promise<Replica[]> {
  const stdout = await tool('log-dirs', '--describe', '--topic-list', topic)
  const json = stdout.split('\n').find((line) => line.startsWith('{')) as string
  const [{ logDirs }] = JSON.parse(json).brokers
  return logDirs.flatMap(({ logDir, partitions }: { logDir: string; partitions: Replica[] }) =>
    partitions.map(({ isFuture, size }) => ({ logDir, isFuture, size })),
  )
}

describe("Kafka's reassign-partitions tool", () => {
  it('moves a replica to another log directory while it is written to, throttled first', async () => {
    const topic = await createTopic(broker.bootstrap)
    const perf = (count: number, ...args: string[]) =>
      tool('producer-perf', '--topic', topic, '--num-records', `${count}`, '--record-size', '1000', ...args)
    await perf(8_000, '--throughput', '-1')
    const [before] = await replicas(topic)
    const home = before!.logDir
    const other = join(directory, home.endsWith('a') ? 'b' : 'a')
    const described = await tool('topics', '--describe', '--topic', topic)
    const id = Number(/Leader: (\d+)/.exec(described)![1])
    const file = join(directory, 'moves.json')
    const partitions = [{ topic, partition: 0, replicas: [id], log_dirs: [other] }]
    writeFileSync(file, JSON.stringify({ version: 1, partitions }))
    const execute = ['--execute', '--reassignment-json-file', file, '--replica-alter-log-dirs-throttle']
    expect(await tool('reassign-partitions', ...execute, '100')).toContain('Successfully started moving log directory')

    const under = await replicas(topic)
    expect(under.find(({ isFuture }) => isFuture)?.logDir).toBe(other)
    expect(readdirSync(other).filter((name) => name.startsWith(topic))).toEqual([
      expect.stringMatching(/\.[0-9a-f]{32}-future$/),
    ])
    const verify = () =>
      tool('reassign-partitions', '--verify', '--preserve-throttles', '--reassignment-json-file', file)
    expect(await verify()).toContain(`is still in progress`)

    const written = perf(20_000, '--throughput', '10000')
    await tool('reassign-partitions', ...execute, '1000000000', '--additional')
    await until('it has been moved', async () => (await verify()).includes('is completed'))
    await written
    expect(await replicas(topic)).toMatchObject([{ logDir: other, isFuture: false }])
    expect(await endOffsets(broker.bootstrap, topic)).toEqual([28_000])

    await broker.kill()
    await broker.restart()
    expect(await replicas(topic)).toMatchObject([{ logDir: other, isFuture: false }])
    const consumed = await tool('consumer-perf', '--topic', topic, '--num-records', '28000', '--timeout', '30000')
    expect(consumed).toMatch(/, 28000, /)
  })
})
