import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SeededRandom } from '@millrace/base'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { UsageError } from '../usage-error.ts'
import { type ClusterFile, ClusterFileError, readClusterFile, writeClusterFile } from './cluster-file.ts'
import { checkOwnSettings, nodeEnvironment, nodeSettings, planCluster } from './cluster-plan.ts'
import { checkNoSingleNode } from './started-nodes.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-cluster-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function plan(request: { size?: number; port?: number | null }, known: ClusterFile | null, taken: number[] = []) {
  const { size = 3, port = null } = request
  const isFree = (one: number) => Promise.resolve(!taken.includes(one))
  return planCluster({ size, port, directory: 'd' }, known, new SeededRandom(1), isFree)
}

describe('the plan of a cluster', () => {
  test('ports follow the first, and nodes meet at others', async () => {
    const { nodes, clusterId, secret } = await plan({ port: 7000 }, null)
    expect(nodes.map(({ id, port }) => [id, port])).toEqual([
      [1, 7000],
      [2, 7001],
      [3, 7002],
    ])
    expect(new Set(nodes.map(({ controllerPort }) => controllerPort)).size).toBe(3)
    expect(clusterId).toMatch(/^[\w-]{22}$/)
    expect(secret.length).toBeGreaterThanOrEqual(16)
  })

  test('its id never begins with what nodes refuse at the start of one', async () => {
    const isFree = () => Promise.resolve(true)
    // One in 64 ids of random bytes does: seeds enough that one of them would.
    for (let seed = 0; seed < 300; seed++) {
      const { clusterId } = await planCluster({ size: 1, port: 7000, directory }, null, new SeededRandom(seed), isFree)
      expect(clusterId).toMatch(/^\w[\w-]{21}$/)
    }
  })

  test('an id that nodes refuse is replaced, unless a node has started with it', async () => {
    const known = { ...(await plan({ port: 0 }, null)), clusterId: '-bVQ9_ISia_zwGINzRvyQa' }
    const isFree = () => Promise.resolve(true)
    const again = () => planCluster({ size: 3, port: null, directory }, known, new SeededRandom(2), isFree)
    const { clusterId, ...rest } = await again()
    expect(clusterId).toMatch(/^\w[\w-]{21}$/)
    expect(rest).toEqual({ secret: known.secret, nodes: known.nodes })
    mkdirSync(join(directory, 'node-2'))
    writeFileSync(join(directory, 'node-2/meta.properties'), '')
    expect(await again()).toEqual(known)
  })

  test('without a port the first start takes 9092 and those behind it', async () => {
    expect((await plan({}, null)).nodes.map(({ port }) => port)).toEqual([9092, 9093, 9094])
  })

  test('port 0 picks free ones, each only once', async () => {
    const { nodes } = await plan({ port: 0, size: 9 }, null)
    const all = nodes.flatMap(({ port, controllerPort }) => [port, controllerPort])
    expect(new Set(all).size).toBe(18)
  })

  test.each([[null], [0]])('a cluster comes back where it was (port %s)', async (port) => {
    const known = await plan({ port: 0 }, null)
    expect(await plan({ port }, known)).toEqual(known)
  })

  test('its ports for clients may be moved, and nothing else', async () => {
    const known = await plan({ port: 0 }, null)
    const moved = await plan({ port: 7000 }, known)
    expect(moved.nodes[2]).toEqual({ id: 3, port: 7002, controllerPort: known.nodes[2]!.controllerPort })
    expect(moved).toMatchObject({ clusterId: known.clusterId, secret: known.secret })
  })

  test('with port 0 it goes elsewhere where its ports are taken; else that is an error', async () => {
    const known = await plan({ port: 0 }, null)
    const taken = [known.nodes[1]!.port]
    const elsewhere = await plan({ port: 0 }, known, taken)
    expect(elsewhere.nodes.map(({ port }) => port)).not.toContain(taken[0])
    await expect(plan({}, known, taken)).rejects.toThrow(UsageError)
  })

  test.each<[string, { size?: number; port?: number }, number[]]>([
    ['a port in use', { port: 7000 }, [7001]],
    ['ports that do not exist', { port: 65_534 }, []],
  ])('%s is refused', async (_, request, taken) => {
    await expect(plan(request, null, taken)).rejects.toThrow(UsageError)
  })

  test('what the directory holds cannot change its size or where its nodes meet', async () => {
    const known = await plan({ port: 0 }, null)
    await expect(plan({ size: 5 }, known)).rejects.toThrow('start it with --cluster 3')
    await expect(plan({}, known, [known.nodes[2]!.controllerPort])).rejects.toThrow('is the cluster running already')
    await expect(plan({ port: known.nodes[0]!.controllerPort }, known)).rejects.toThrow(UsageError)
  })
})

describe('a node of the plan', () => {
  test('is told who it is and who the others are, and the secret by no command line', async () => {
    const cluster = await plan({ port: 7000 }, null)
    const [, second] = cluster.nodes
    const settings = Object.fromEntries(nodeSettings(cluster, second!, 'd'))
    expect(settings).toMatchObject({ 'node.id': '2', 'cluster.id': cluster.clusterId, 'log.dirs': 'd/node-2' })
    expect(settings.listeners).toBe(`PLAINTEXT://127.0.0.1:7001,CONTROLLER://127.0.0.1:${second!.controllerPort}`)
    expect(settings['controller.quorum.voters']!.split(',')).toHaveLength(3)
    expect(Object.values(settings).join()).not.toContain(cluster.secret)
    const environment = { PATH: '/bin', MILLRACE_NODE_ID: '9', MILLRACE_PORT: '1', MILLRACE_LOG_RETENTION_MS: '5' }
    expect(nodeEnvironment(environment, cluster)).toEqual({
      PATH: '/bin',
      MILLRACE_LOG_RETENTION_MS: '5',
      MILLRACE_CONTROLLER_PEER_SECRET: cluster.secret,
    })
  })

  test('takes settings of the user, but none that would take it out of the cluster', () => {
    expect(() => checkOwnSettings([['log.retention.ms', '1']])).not.toThrow()
    expect(() => checkOwnSettings([['node.id', '1']])).toThrow(UsageError)
  })
})

describe('what a directory remembers', () => {
  test('of a single node is not taken for a cluster', () => {
    expect(() => checkNoSingleNode(directory)).not.toThrow()
    writeFileSync(join(directory, 'meta.properties'), '')
    expect(() => checkNoSingleNode(directory)).toThrow(UsageError)
    expect(() => checkNoSingleNode(directory)).toThrow('--data-dir')
  })

  test('is read as it was written, and by its owner alone', async () => {
    expect(readClusterFile(directory)).toBeNull()
    const cluster = await plan({ port: 0 }, null)
    writeClusterFile(join(directory, 'new'), cluster)
    expect(readClusterFile(join(directory, 'new'))).toEqual(cluster)
    expect(statSync(join(directory, 'new/cluster.json')).mode & 0o077).toBe(0)
  })

  test.each([
    '',
    '[]',
    'null',
    '{"version":2}',
    '{"version":1,"clusterId":"short","secret":"0123456789abcdef","nodes":[]}',
    '{"version":1,"clusterId":"q1Sh-9_ISia_zwGINzRvyQ","secret":"0123456789abcdef","nodes":[{"id":2,"port":1,"controllerPort":2}]}',
    '{"version":1,"clusterId":"q1Sh-9_ISia_zwGINzRvyQ","secret":"0123456789abcdef","nodes":[{"id":1,"port":0,"controllerPort":2}]}',
  ])('%s is refused', (text) => {
    writeFileSync(join(directory, 'cluster.json'), text)
    expect(() => readClusterFile(directory)).toThrow(ClusterFileError)
  })
})
