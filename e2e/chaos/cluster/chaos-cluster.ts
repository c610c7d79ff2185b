import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { Admin, type PartitionDescription } from '@millrace/client'
import type { Settings } from '../../harness/running-broker.ts'
import { until } from '../../harness/until.ts'
import { CLIENTS, Network } from '../network/network.ts'
import { addressOfNode, connectFrom, OBSERVER_ADDRESS } from '../network/own-address.ts'
import { ownerOf } from '../network/socket-owner.ts'
import { compileSlowSync, NodeDisk } from './disks.ts'
import { ChaosNode } from './node.ts'
import type { System } from './system.ts'

/** The connections of this process, which looks on: no fault ever touches them. */
const OBSERVER = 'observer'

export interface ClusterOptions {
  readonly system: System
  readonly nodeCount: number
  readonly directory: string
  readonly settings: Settings
  /** Each node gets a disk of its own that can be filled and slowed down. */
  readonly hasDisks: boolean
}

/** One partition of the topics under load, as the cluster tells it. */
export interface PartitionState extends PartitionDescription {
  readonly topic: string
}

/** Nodes as processes, and the network between them. */
export class ChaosCluster {
  readonly system: System
  readonly nodes: readonly ChaosNode[]
  readonly network: Network
  /** By id of their nodes; empty if they have none of their own. */
  readonly disks: ReadonlyMap<number, NodeDisk>
  readonly #proxyPorts: ReadonlyMap<number, number>
  #admin: Admin | null = null

  private constructor(
    system: System,
    nodes: readonly ChaosNode[],
    network: Network,
    disks: ReadonlyMap<number, NodeDisk>,
    proxyPorts: ReadonlyMap<number, number>,
  ) {
    this.disks = disks
    this.system = system
    this.nodes = nodes
    this.network = network
    this.#proxyPorts = proxyPorts
  }

  /** Prepares and starts all nodes, and waits until the cluster answers. */
  static async start({ system, nodeCount, directory, settings, hasDisks }: ClusterOptions): Promise<ChaosCluster> {
    connectFrom(OBSERVER_ADDRESS)
    const nodes: ChaosNode[] = []
    const network = new Network((accepted) => sourceOf(accepted, nodes, system.isNode))
    const ids = Array.from({ length: nodeCount }, (_, slot) => slot + 1)
    const disks = hasDisks ? disksOf(ids, directory) : new Map<number, NodeDisk>()
    const ports = await freePorts(2 * nodeCount)
    const proxyPorts = new Map<number, number>()
    const controllerProxyPorts = new Map<number, number>()
    for (const id of ids) {
      proxyPorts.set(id, await network.proxy(String(id), ports[id - 1]!))
      controllerProxyPorts.set(id, await network.proxy(String(id), ports[nodeCount + id - 1]!))
    }
    for (const id of ids) {
      const own = join(directory, `node-${id}`)
      const plan = {
        id,
        directory: own,
        dataDirectory: join(disks.get(id)?.directory ?? own, 'data'),
        port: ports[id - 1]!,
        controllerPort: ports[nodeCount + id - 1]!,
        proxyPort: proxyPorts.get(id)!,
        controllerProxyPorts,
        settings,
        environment: disks.get(id)?.environment ?? {},
      }
      nodes.push(new ChaosNode(plan, system))
    }
    const cluster = new ChaosCluster(system, nodes, network, disks, proxyPorts)
    try {
      await Promise.all(nodes.map((node) => system.prepare(node.plan)))
      for (const node of nodes) node.start()
      await cluster.#untilServing()
    } catch (error) {
      const logs = nodes.map((node) => `node ${node.id}: ${node.deaths.join(', ')}\n${node.logTail}`).join('\n')
      await cluster.close()
      throw new Error(`the cluster did not start\n${logs}`, { cause: error })
    }
    return cluster
  }

  /** For clients: the proxies in front of the nodes. */
  get bootstrap(): string {
    return [...this.#proxyPorts.values()].map((port) => `127.0.0.1:${port}`).join(',')
  }

  node(id: number): ChaosNode | null {
    return this.nodes.find((node) => node.id === id) ?? null
  }

  get running(): ChaosNode[] {
    return this.nodes.filter(({ state }) => state === 'running')
  }

  /** An administrator whose connections no fault touches. */
  get admin(): Admin {
    this.#admin ??= new Admin({
      bootstrapServers: this.bootstrap,
      requestTimeoutMs: 2000,
      defaultApiTimeoutMs: 5000,
      reconnectBackoffMaxMs: 300,
      metadataMaxAgeMs: 1000,
    })
    return this.#admin
  }

  async createTopic(name: string, partitions: number): Promise<void> {
    const [created] = await this.admin.createTopics(
      [{ name, partitions, replicationFactor: Math.min(3, this.nodes.length) }],
      { timeoutMs: 30_000 },
    )
    // The answer to the first try may have been lost on a busy machine; nobody else makes topics here.
    if (created?.error && created.error.code !== 'TOPIC_ALREADY_EXISTS') throw created.error
    await until('the topic is whole', () => this.isWhole([name]), 60_000)
  }

  /** Leaders and replicas. Null: nobody could tell just now. */
  async partitions(topics: readonly string[]): Promise<PartitionState[] | null> {
    try {
      const described = await this.admin.describeTopics(topics)
      const states: PartitionState[] = []
      for (const { error, name, partitions } of described) {
        if (error) return null
        for (const partition of partitions) states.push({ ...partition, topic: name })
      }
      return states
    } catch {
      // Half of the cluster may be dead: that is what it is asked for.
      return null
    }
  }

  /** Node id of the active controller; null if there is none or nobody could tell. */
  async activeController(): Promise<number | null> {
    if (this.nodes.length === 1) return this.nodes[0]!.id
    try {
      const { leaderId } = await this.admin.describeQuorum({ timeoutMs: 3000 })
      return leaderId >= 0 ? leaderId : null
    } catch {
      return null
    }
  }

  /** Every partition has a leader and all of its replicas in sync. */
  async isWhole(topics: readonly string[]): Promise<boolean> {
    const states = await this.partitions(topics)
    return states?.every(({ leader, isr, replicas }) => leader >= 0 && isr.length === replicas.length) ?? false
  }

  /** Undoes everything: links, pauses, deaths. */
  heal(): void {
    this.network.healAll()
    for (const disk of this.disks.values()) {
      disk.drain()
      disk.setDelay(0)
    }
    for (const node of this.nodes) {
      node.mayEnd = false
      node.resume()
      node.start()
    }
  }

  async close(): Promise<void> {
    await this.#admin?.close()
    await Promise.all(this.nodes.map((node) => node.kill()))
    await this.network.close()
    for (const disk of this.disks.values()) disk.unmount()
  }

  async #untilServing(): Promise<void> {
    await until(
      'all nodes serve',
      async () => {
        const dead = this.nodes.find(({ deaths }) => deaths.length > 0)
        if (dead) throw new Error(`node ${dead.id} ended with ${dead.deaths.join(', ')}`)
        const listening = await Promise.all(this.nodes.map((node) => node.isListening()))
        if (listening.includes(false)) return false
        const { brokers } = await this.admin.describeCluster({ timeoutMs: 2000 }).catch(() => ({ brokers: [] }))
        return brokers.length === this.nodes.length && (await this.activeController()) !== null
      },
      90_000,
    )
  }
}

function disksOf(ids: readonly number[], directory: string): Map<number, NodeDisk> {
  const library = compileSlowSync(directory)
  const disks = new Map(ids.map((id) => [id, new NodeDisk(directory, id, library)]))
  for (const disk of disks.values()) disk.mount()
  return disks
}

/** By the address that it connects from; a node that is no Node.js process has none of its own, and is looked up. */
function sourceOf(accepted: Socket, nodes: readonly ChaosNode[], hasOwnAddresses: boolean): string {
  const { remoteAddress, remotePort = 0, localPort = 0 } = accepted
  if (remoteAddress === OBSERVER_ADDRESS) return OBSERVER
  if (hasOwnAddresses) return nodes.find(({ id }) => addressOfNode(id) === remoteAddress)?.name ?? CLIENTS
  const owner = ownerOf(
    remotePort,
    localPort,
    nodes.flatMap(({ pid }) => pid ?? []),
  )
  return nodes.find(({ pid }) => pid !== null && pid === owner)?.name ?? CLIENTS
}

/** Ports that are free now. They are closed again, since only the nodes may bind them: another program could take one meanwhile. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once('error', reject)
          server.listen(0, '127.0.0.1', () => {
            const address = server.address()
            resolve(address !== null && typeof address === 'object' ? address.port : 0)
          })
        }),
    ),
  )
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
