import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../../harness/until.ts'
import { ChaosCluster } from './chaos-cluster.ts'
import { millrace } from './millrace.ts'

/** A fault that strikes nothing proves nothing: connections that went past the proxies would be cut by nobody, and every run would pass. */
describe('a cluster under chaos', () => {
  let directory: string
  let cluster: ChaosCluster

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-chaos-test-'))
    cluster = await ChaosCluster.start({ system: millrace, nodeCount: 3, directory, settings: {}, hasDisks: false })
  })

  afterEach(async () => {
    await cluster.close()
    rmSync(directory, { recursive: true })
  })

  it('has all links between its nodes behind proxies: a controller that is cut off from its peers leads no more', async () => {
    const { network } = cluster
    const leader = await until('a controller leads', () => cluster.activeController())
    const peers = cluster.nodes.map(({ name }) => name).filter((name) => name !== String(leader))
    for (const peer of peers)
      await until(`node ${leader} and node ${peer} are connected`, () => {
        return network.connectionsBetween(String(leader), peer).length > 0
      })
    for (const peer of peers) network.cut(String(leader), peer)
    const next = await until('another one leads', async () => {
      const active = await cluster.activeController()
      return active === leader ? null : active
    })
    expect(peers).toContain(String(next))
    network.healAll()
    // The old one takes part again: the broker that it is is back in the cluster.
    await until('all nodes are there', async () => {
      const { brokers } = await cluster.admin.describeCluster({ timeoutMs: 2000 })
      return brokers.length === cluster.nodes.length
    })
  })
})
