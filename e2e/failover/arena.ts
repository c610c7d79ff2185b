import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ChaosCluster } from '../chaos/cluster/chaos-cluster.ts'
import { millrace } from '../chaos/cluster/millrace.ts'
import { startCluster } from '../harness/cluster.ts'
import type { Settings } from '../harness/running-broker.ts'

const FAULTS = ['kill', 'pause', 'cut'] as const

export type FaultName = (typeof FAULTS)[number]

export function isFaultName(text: string): text is FaultName {
  return FAULTS.some((name) => name === text)
}

/** Three nodes, and one way to lose one of them. */
export interface Arena {
  readonly system: 'millrace' | 'kafka'
  readonly bootstrap: string
  /** At once. */
  lose(nodeId: number): void
  bringBack(nodeId: number): Promise<void>
  close(): Promise<void>
}

/** Starts the nodes; with `E2E_KAFKA` those of Apache Kafka. */
export function openArena(fault: FaultName, settings: Settings): Promise<Arena> {
  return fault === 'cut' ? openProxied(settings) : openPlain(fault, settings)
}

async function openPlain(fault: 'kill' | 'pause', settings: Settings): Promise<Arena> {
  const cluster = await startCluster(settings, { ownGroup: true })
  const nodeOf = (id: number) => cluster.nodes.find((node) => node.id === id)!
  return {
    system: cluster.kind,
    bootstrap: cluster.bootstrap,
    lose: (id) => {
      process.kill(nodeOf(id).pid, fault === 'kill' ? 'SIGKILL' : 'SIGSTOP')
    },
    bringBack: async (id) => {
      if (fault === 'pause') {
        process.kill(nodeOf(id).pid, 'SIGCONT')
        return
      }
      await nodeOf(id).awaitKilled()
      await nodeOf(id).restart()
    },
    close: () => cluster.dispose(),
  }
}

/** Every connection goes through this process, the client's too. */
async function openProxied(settings: Settings): Promise<Arena> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-failover-'))
  const cluster = await ChaosCluster.start({ system: millrace, nodeCount: 3, directory, settings, hasDisks: false })
  return {
    system: 'millrace',
    bootstrap: cluster.bootstrap,
    lose: (id) => {
      for (const other of ['1', '2', '3', 'observer']) if (other !== String(id)) cluster.network.cut(String(id), other)
    },
    bringBack: async () => cluster.network.healAll(),
    close: async () => {
      await cluster.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
