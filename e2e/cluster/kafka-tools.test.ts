import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cluster, startCluster } from '../harness/cluster.ts'
import { type JavaTool, javaTool } from '../harness/java-tools.ts'
import { uniqueName } from '../harness/topics.ts'
import { until } from '../harness/until.ts'

/** Goal: Kafka's own tools for clusters work against three nodes as they do against three of Kafka's. */

let cluster: Cluster
let directory = ''

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-tools-'))
  cluster = await startCluster()
}, 180_000)

afterAll(async () => {
  rmSync(directory, { recursive: true, force: true })
  await cluster?.dispose()
})

async function tool(name: JavaTool, ...args: string[]): Promise<string> {
  return (await javaTool(name, ['--bootstrap-server', cluster.bootstrap, ...args])).stdout
}

/** A topic with the replicas of each partition in that order. */
async function createTopic(...assignments: number[][]): Promise<string> {
  const topic = uniqueName('tools')
  const text = assignments.map((replicas) => replicas.join(':')).join(',')
  await tool('topics', '--create', '--topic', topic, '--replica-assignment', text)
  return topic
}

interface Placement {
  leader: number
  replicas: number[]
  isr: number[]
}

async function placements(topic: string): Promise<Placement[]> {
  const text = await tool('topics', '--describe', '--topic', topic)
  const lines = text.matchAll(/Partition: (\d+)\s+Leader: (\S+)\s+Replicas: ([\d,]+)\s+Isr: ([\d,]*)/g)
  const list = (numbers: string) => numbers.split(',').filter(Boolean).map(Number)
  return [...lines].map(([, , leader, replicas, isr]) => {
    return { leader: Number(leader), replicas: list(replicas!), isr: list(isr!).sort() }
  })
}

function jsonFile(value: unknown): string {
  const file = join(directory, `${uniqueName('file')}.json`)
  writeFileSync(file, JSON.stringify(value))
  return file
}

describe('metadata-quorum', () => {
  it('tells leader, epoch and voters', async () => {
    const status = await tool('metadata-quorum', 'describe', '--status')
    expect(status).toMatch(/LeaderId:\s+[123]\n/)
    expect(status).toMatch(/LeaderEpoch:\s+\d+\n/)
    expect(status).toMatch(/HighWatermark:\s+\d+\n/)
    for (const id of [1, 2, 3]) expect(status).toMatch(new RegExp(`CurrentVoters:.*"id": ${id}\\b`))
  })

  it('tells how far each voter is', async () => {
    const lines = (await tool('metadata-quorum', 'describe', '--replication')).trim().split('\n')
    expect(lines[0]).toMatch(
      /^NodeId\s+DirectoryId\s+LogEndOffset\s+Lag\s+LastFetchTimestamp\s+LastCaughtUpTimestamp\s+Status/,
    )
    expect(
      lines
        .slice(1)
        .map((line) => line.trim().split(/\s+/).at(-1))
        .sort(),
    ).toEqual(['Follower', 'Follower', 'Leader'])
  })
})

describe('topics', () => {
  it('creates with default replicas, all in sync, on different brokers', async () => {
    const topic = uniqueName('tools')
    await tool('topics', '--create', '--topic', topic, '--partitions', '6')
    const placed = await until('all are in sync', async () => {
      const found = await placements(topic)
      return found.every(({ isr }) => isr.length === 3) && found
    })
    expect(placed).toHaveLength(6)
    for (const { leader, replicas, isr } of placed) {
      expect([...replicas].sort()).toEqual([1, 2, 3])
      expect(isr).toEqual([1, 2, 3])
      expect(leader).toBe(replicas[0])
    }
    for (const id of [1, 2, 3]) expect(placed.filter(({ leader }) => leader === id)).toHaveLength(2)
  })

  it('places replicas where it is told', async () => {
    const topic = await createTopic([3, 1], [2, 3])
    const placed = await placements(topic)
    expect(placed.map(({ replicas }) => replicas)).toEqual([
      [3, 1],
      [2, 3],
    ])
    expect(placed.map(({ leader }) => leader)).toEqual([3, 2])
  })
})

describe('reassign-partitions', () => {
  it('moves a partition with its records, and says when it is done', async () => {
    const topic = await createTopic([1, 2], [2, 1])
    const count = 500
    await tool('verifiable-producer', '--topic', topic, '--max-messages', String(count))
    const partitions = [
      { topic, partition: 0, replicas: [3, 2] },
      { topic, partition: 1, replicas: [3, 1] },
    ]
    const plan = jsonFile({ version: 1, partitions })
    expect(await tool('reassign-partitions', '--reassignment-json-file', plan, '--execute')).toContain(
      'Successfully started partition reassignments',
    )
    await until('it is done', async () => {
      const text = await tool('reassign-partitions', '--reassignment-json-file', plan, '--verify')
      return (text.match(/is complete/g) ?? []).length === 2
    })
    expect((await placements(topic)).map(({ replicas }) => replicas)).toEqual([
      [3, 2],
      [3, 1],
    ])
    const ends = (await tool('get-offsets', '--topic', topic)).trim().split('\n')
    expect(ends.reduce((sum, line) => sum + Number(line.split(':')[2]), 0)).toBe(count)
    const read = await tool(
      'verifiable-consumer',
      '--topic',
      topic,
      '--group-id',
      uniqueName('g'),
      '--max-messages',
      String(count),
    )
    expect(read).toContain('"name":"shutdown_complete"')
    expect(await tool('reassign-partitions', '--list')).toContain('No partition reassignments found')
  })

  it('generates a plan', async () => {
    const topic = await createTopic([1, 2, 3])
    const file = jsonFile({ version: 1, topics: [{ topic }] })
    const text = await tool(
      'reassign-partitions',
      '--topics-to-move-json-file',
      file,
      '--broker-list',
      '2,3',
      '--generate',
    ).catch((error: Error) => error.message)
    // Three replicas do not fit on two brokers; the tool asks the cluster and says so.
    expect(text).toContain('target replication factor of 3 cannot be reached because only 2 broker(s)')
  })
})

describe('leader-election', () => {
  it('gives leadership back to the preferred replica', async () => {
    const topic = await createTopic([2, 3, 1])
    await until('all are in sync', async () => (await placements(topic))[0]!.isr.length === 3)
    const [second] = cluster.nodes.filter(({ id }) => id === 2)
    await second!.stop()
    await until('another leads', async () => (await placements(topic))[0]!.leader !== 2)
    await second!.restart()
    await until('it is in sync', async () => (await placements(topic))[0]!.isr.includes(2))
    const elect = ['--election-type', 'preferred', '--topic', topic, '--partition', '0']
    // The cluster may have balanced it by itself in between.
    expect(await tool('leader-election', ...elect)).toMatch(
      /Successfully completed leader election|Valid replica already elected/,
    )
    await until('the preferred one leads', async () => (await placements(topic))[0]!.leader === 2)
  })
})

describe('log-dirs', () => {
  it('tells of each broker what lies in its directories', async () => {
    const topic = await createTopic([1, 2], [2, 3])
    await tool('verifiable-producer', '--topic', topic, '--max-messages', '10')
    const described = await until('followers have caught up', async () => {
      const text = await tool('log-dirs', '--describe', '--topic-list', topic)
      const { brokers } = JSON.parse(text.split('\n').find((line) => line.startsWith('{'))!) as {
        brokers: { broker: number; logDirs: { partitions: { partition: string; offsetLag: number }[] }[] }[]
      }
      const placed = brokers.map(({ broker, logDirs }) => {
        return [
          broker,
          logDirs.flatMap(({ partitions }) => partitions.map(({ partition }) => partition)).sort(),
        ] as const
      })
      const lags = brokers.flatMap(({ logDirs }) => logDirs.flatMap(({ partitions }) => partitions))
      return lags.every(({ offsetLag }) => offsetLag === 0) && placed.sort(([a], [b]) => a - b)
    })
    expect(described).toEqual([
      [1, [`${topic}-0`]],
      [2, [`${topic}-0`, `${topic}-1`]],
      [3, [`${topic}-1`]],
    ])
  })
})

describe('features', () => {
  it('tells what is supported and in force', async () => {
    const text = await tool('features', 'describe')
    expect(text).toMatch(
      /Feature: metadata\.version\s+SupportedMinVersion: \S+\s+SupportedMaxVersion: \S+\s+FinalizedVersionLevel: \S+/,
    )
  })
})

describe('cluster', () => {
  it('tells the id and lists all nodes', async () => {
    const ask = async (command: string) =>
      (await javaTool('cluster', [command, '--bootstrap-server', cluster.bootstrap])).stdout
    expect(await ask('cluster-id')).toMatch(/Cluster ID: [\w-]{22}/)
    const endpoints = await ask('list-endpoints')
    for (const { port } of cluster.nodes) expect(endpoints).toContain(String(port))
  })
})
