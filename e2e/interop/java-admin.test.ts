import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, inject, it } from 'vitest'
import { javaTool } from '../harness/java-tools.ts'
import { createTopic, uniqueName } from '../harness/topics.ts'
import { until } from '../harness/until.ts'

const bootstrap = inject('bootstrap')
const server = ['--bootstrap-server', bootstrap]

const produce = (topic: string, lines: readonly string[]) =>
  javaTool('console-producer', [...server, '--topic', topic], { input: `${lines.join('\n')}\n` })

const offsets = async (topic: string, ...extra: string[]) =>
  (await javaTool('get-offsets', [...server, '--topic', topic, ...extra])).stdout.trim().split('\n').sort()

describe("Kafka's topics tool", () => {
  it('creates, lists, describes, grows and deletes a topic', async () => {
    const topic = uniqueName('tool-topic')
    const tool = async (...args: string[]) => (await javaTool('topics', [...server, ...args])).stdout
    const configs = ['--config', 'retention.ms=60000', '--config', 'cleanup.policy=compact']
    const created = await tool(
      '--create',
      '--topic',
      topic,
      '--partitions',
      '2',
      '--replication-factor',
      '1',
      ...configs,
    )
    expect(created).toContain(`Created topic ${topic}.`)
    expect((await tool('--list')).split('\n')).toContain(topic)

    const described = await tool('--describe', '--topic', topic)
    expect(described).toMatch(
      new RegExp(`Topic: ${topic}\\s+TopicId: [\\w-]{22}\\s+PartitionCount: 2\\s+ReplicationFactor: 1`),
    )
    expect(described).toContain('cleanup.policy=compact')
    expect(described).toContain('retention.ms=60000')
    expect(described.match(/Partition: \d+\s+Leader: (\d+)\s+Replicas: \1\s+Isr: \1/g)).toHaveLength(2)

    await tool('--alter', '--topic', topic, '--partitions', '5')
    expect(await tool('--describe', '--topic', topic)).toContain('PartitionCount: 5')
    await tool('--delete', '--topic', topic)
    await until('it is gone', async () => !(await tool('--list')).split('\n').includes(topic))
  })

  it('is told what is wrong with a request', async () => {
    const topic = await createTopic(bootstrap, { partitions: 3 })
    const fails = async (...args: string[]) => {
      const { stdout, stderr } = await javaTool('topics', [...server, ...args], { allowExit: [1] })
      return stdout + stderr
    }
    expect(await fails('--create', '--topic', topic)).toContain(`Topic '${topic}' already exists`)
    expect(await fails('--create', '--topic', 'not/a/name')).toContain('InvalidTopicException')
    expect(await fails('--create', '--topic', uniqueName('t'), '--replication-factor', '9')).toContain(
      'InvalidReplicationFactor',
    )
    expect(await fails('--alter', '--topic', topic, '--partitions', '2')).toContain('InvalidPartitions')
    expect(await fails('--delete', '--topic', uniqueName('absent'))).toContain('does not exist as expected')
  })
})

describe("Kafka's configs tool", () => {
  const tool = async (...args: string[]) => (await javaTool('configs', [...server, ...args])).stdout

  it('sets, shows and resets the settings of a topic', async () => {
    const topic = await createTopic(bootstrap)
    const entity = ['--entity-type', 'topics', '--entity-name', topic]
    await tool('--alter', ...entity, '--add-config', 'retention.ms=12345,max.message.bytes=2000000')
    const described = await tool('--describe', ...entity)
    expect(described).toMatch(/retention\.ms=12345 sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:retention\.ms=12345/)
    expect(described).toMatch(/max\.message\.bytes=2000000 .*DEFAULT_CONFIG:message\.max\.bytes=1048588/)
    await tool('--alter', ...entity, '--delete-config', 'retention.ms')
    expect(await tool('--describe', ...entity)).not.toContain('retention.ms=')
    const all = await tool('--describe', ...entity, '--all')
    expect(all).toMatch(/retention\.ms=604800000 sensitive=false synonyms=\{\}/)
    expect(all).toMatch(/cleanup\.policy=delete .*DEFAULT_CONFIG:log\.cleanup\.policy=delete/)
    expect(all.match(/ sensitive=false /g)?.length).toBeGreaterThan(25)
  })

  it('sets and resets a dynamic setting of one broker and of all', async () => {
    const { stdout } = await javaTool('topics', [...server, '--describe', '--topic', await createTopic(bootstrap)])
    const id = /Leader: (\d+)/.exec(stdout)?.[1] as string
    const one = ['--entity-type', 'brokers', '--entity-name', id]
    const all = ['--entity-type', 'brokers', '--entity-default']
    await tool('--alter', ...all, '--add-config', 'log.cleaner.threads=2')
    expect(await tool('--describe', ...all)).toContain('log.cleaner.threads=2')
    await tool('--alter', ...one, '--add-config', 'log.cleaner.backoff.ms=14000')
    expect(await tool('--describe', ...one)).toMatch(/log\.cleaner\.backoff\.ms=14000 .*DYNAMIC_BROKER_CONFIG/)
    await tool('--alter', ...one, '--delete-config', 'log.cleaner.backoff.ms')
    await tool('--alter', ...all, '--delete-config', 'log.cleaner.threads')
    expect(await tool('--describe', ...one)).not.toContain('14000')
    const every = await tool('--describe', ...one, '--all')
    for (const name of ['num.partitions', 'log.retention.hours', 'message.max.bytes'])
      expect(every).toContain(`${name}=`)
  })
})

describe("Kafka's consumer-groups tool", () => {
  it('lists, describes, resets and deletes groups', async () => {
    const topic = await createTopic(bootstrap)
    const group = uniqueName('tool-group')
    const tool = async (...args: string[]) =>
      (await javaTool('consumer-groups', [...server, ...args], { allowExit: [1] })).stdout
    await produce(topic, ['a', 'b', 'c', 'd', 'e'])
    const consume = ['--topic', topic, '--group', group, '--from-beginning', '--max-messages', '3']
    await javaTool('console-consumer', [...server, ...consume])

    expect((await tool('--list')).split('\n')).toContain(group)
    const row = async () => {
      const line = (await tool('--describe', '--group', group)).split('\n').find((text) => text.startsWith(group))
      return line?.trim().split(/\s+/).slice(1, 6)
    }
    expect(await row()).toEqual([topic, '0', '3', '5', '2'])
    expect(await tool('--describe', '--group', group, '--state')).toMatch(/Empty\s+0/)

    const reset = ['--reset-offsets', '--group', group, '--topic', topic, '--execute']
    await tool(...reset, '--to-earliest')
    expect(await row()).toEqual([topic, '0', '0', '5', '5'])
    await tool(...reset, '--shift-by', '4')
    expect(await row()).toEqual([topic, '0', '4', '5', '1'])
    await tool(...reset, '--to-latest')
    expect(await row()).toEqual([topic, '0', '5', '5', '0'])

    expect(await tool('--delete-offsets', '--group', group, '--topic', topic)).toMatch(/Successful/)
    expect(await row()).toBeUndefined()
    const gone = await tool('--delete', '--group', group)
    // Deleting its last offset may have ended the empty group already.
    expect(gone).toMatch(/was successful|GroupIdNotFoundException/)
    expect((await tool('--list')).split('\n')).not.toContain(group)
  })
})

describe("Kafka's offset tools", () => {
  it('give earliest, latest, timed and newest offsets, and delete records', async () => {
    const topic = await createTopic(bootstrap, { partitions: 2 })
    for (const line of ['a', 'b', 'c'])
      await javaTool('verifiable-producer', [
        ...server,
        '--topic',
        topic,
        '--max-messages',
        '10',
        '--value-prefix',
        line.charCodeAt(0).toString(),
        // Keys, or all records may go to one partition by chance.
        '--repeating-keys',
        '10',
      ])
    const latest = await offsets(topic)
    const counts = latest.map((line) => Number(line.split(':')[2]))
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(30)
    expect(await offsets(topic, '--time', '-2')).toEqual([`${topic}:0:0`, `${topic}:1:0`])
    expect(await offsets(topic, '--time', '0')).toEqual([`${topic}:0:0`, `${topic}:1:0`])
    const newest = (await offsets(topic, '--time', '-3')).map((line) => Number(line.split(':')[2]))
    for (const [partition, offset] of newest.entries()) expect(offset).toBeLessThan(counts[partition] ?? 0)

    const directory = mkdtempSync(join(tmpdir(), 'delete-records-'))
    const file = join(directory, 'offsets.json')
    writeFileSync(
      file,
      JSON.stringify({
        version: 1,
        partitions: [
          { topic, partition: 0, offset: 2 },
          { topic, partition: 1, offset: -1 },
        ],
      }),
    )
    const { stdout } = await javaTool('delete-records', [...server, '--offset-json-file', file])
    rmSync(directory, { recursive: true })
    expect(stdout).toMatch(new RegExp(`partition: ${topic}-0\\s+low_watermark: 2`))
    expect(await offsets(topic, '--time', 'earliest')).toEqual([`${topic}:0:2`, `${topic}:1:${counts[1]}`])
    expect(await offsets(topic)).toEqual(latest)
  })
})

describe("Kafka's log-dirs tool", () => {
  it('shows each partition with its size', async () => {
    const topic = await createTopic(bootstrap, { partitions: 2 })
    await javaTool('console-producer', [...server, '--topic', topic, '--sync'], { input: `${'x'.repeat(1000)}\n` })
    const { stdout } = await javaTool('log-dirs', [...server, '--describe', '--topic-list', topic])
    const json = stdout.split('\n').find((line) => line.startsWith('{')) as string
    const [broker] = JSON.parse(json).brokers
    expect(broker.logDirs).toHaveLength(1)
    expect(broker.logDirs[0].error).toBeNull()
    const partitions = broker.logDirs[0].partitions as {
      partition: string
      size: number
      offsetLag: number
      isFuture: boolean
    }[]
    expect(partitions.map(({ partition }) => partition).sort()).toEqual([`${topic}-0`, `${topic}-1`])
    expect(Math.max(...partitions.map(({ size }) => size))).toBeGreaterThan(1000)
    expect(partitions.every(({ offsetLag, isFuture }) => offsetLag === 0 && !isFuture)).toBe(true)
  })
})

describe("Kafka's configs tool, for those who use the broker", () => {
  it('sets, shows and takes away quotas of users, clients and addresses', async () => {
    const tool = async (...args: string[]) => (await javaTool('configs', [...server, ...args])).stdout
    const user = uniqueName('user')
    const entity = ['--entity-type', 'users', '--entity-name', user]
    await tool('--alter', ...entity, '--add-config', 'producer_byte_rate=1024,request_percentage=12.5')
    expect(await tool('--describe', ...entity)).toContain('request_percentage=12.5, producer_byte_rate=1024.0')
    await tool('--alter', ...entity, '--delete-config', 'producer_byte_rate')
    expect(await tool('--describe', ...entity)).not.toContain('producer_byte_rate')
    await tool('--alter', ...entity, '--delete-config', 'request_percentage')
    expect(await tool('--describe', ...entity)).not.toContain(user)
  })

  it('makes, shows and deletes SCRAM credentials', async () => {
    const tool = async (...args: string[]) => (await javaTool('configs', [...server, ...args])).stdout
    const entity = ['--entity-type', 'users', '--entity-name', uniqueName('user')]
    await tool('--alter', ...entity, '--add-config', 'SCRAM-SHA-256=[iterations=8192,password=secret]')
    expect(await tool('--describe', ...entity)).toContain('SCRAM-SHA-256=iterations=8192')
    await tool('--alter', ...entity, '--delete-config', 'SCRAM-SHA-256')
    expect(await tool('--describe', ...entity)).not.toContain('SCRAM-SHA-256')
  })
})
