import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type StartOptions, startBroker } from './broker.ts'
import { run } from './run.ts'
import type { Settings } from './running-broker.ts'

/** One node of a cluster that a test owns. */
export interface ClusterNode {
  readonly id: number
  readonly port: number
  readonly pid: number
  readonly bootstrap: string
  readonly directory: string
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>
  /** Waits until it is gone after somebody else sent it SIGKILL. */
  awaitKilled(): Promise<void>
  /** SIGTERM, and waits; fails if it does not stop in order. */
  stop(): Promise<void>
  /** Starts it again on the same files and ports, and waits until it serves. */
  restart(): Promise<void>
}

/** Combined nodes on this machine, each a process with files of its own. */
export interface Cluster {
  readonly kind: 'millrace' | 'kafka'
  /** By id, from 1 on. */
  readonly nodes: readonly ClusterNode[]
  /** All of them, by commas. */
  readonly bootstrap: string
  /** Kills what runs and removes all files. Call it in every case. */
  dispose(): Promise<void>
}

const CLUSTER_ID = 'q1Sh-9_ISia_zwGINzRvyQ'
const SECRET = 'a secret of the e2e tests'

/** Settings of every node beside who it is: replicas on all, and internal topics that are quick to load. */
function commonSettings(size: number): Settings {
  const replicas = String(Math.min(3, size))
  const minIsr = String(Math.min(2, size))
  return {
    'default.replication.factor': replicas,
    'min.insync.replicas': minIsr,
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': '8',
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': minIsr,
    'transaction.state.log.num.partitions': '8',
    'group.initial.rebalance.delay.ms': '0',
  }
}

/** Starts a cluster; with `E2E_KAFKA` (see `startBroker`) one of Apache Kafka, by its script `start-cluster`. */
export async function startCluster(
  settings: Settings = {},
  options: { size?: number; ownGroup?: boolean } = {},
): Promise<Cluster> {
  const { size = 3, ownGroup = false } = options
  const directory = mkdtempSync(join(tmpdir(), 'millrace-cluster-'))
  const all = { ...commonSettings(size), ...settings }
  const scripts = process.env.E2E_KAFKA
  if (scripts) return startKafkaCluster(scripts, directory, settings)
  const ports = await freePorts(2 * size)
  const voters = Array.from({ length: size }, (_, slot) => `${slot + 1}@127.0.0.1:${ports[size + slot]}`).join(',')
  const started = await Promise.allSettled(
    Array.from({ length: size }, (_, slot) => {
      const own = {
        'process.roles': 'broker,controller',
        'node.id': String(slot + 1),
        'cluster.id': CLUSTER_ID,
        'controller.quorum.voters': voters,
        'controller.listener.names': 'CONTROLLER',
        'controller.peer.secret': SECRET,
        listeners: `PLAINTEXT://127.0.0.1:${ports[slot]},CONTROLLER://127.0.0.1:${ports[size + slot]}`,
      }
      return startNode(
        slot + 1,
        { ...all, ...own },
        { directory: join(directory, `node-${slot + 1}`), ownGroup },
        ports[slot]!,
      )
    }),
  )
  const nodes = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const dispose = async () => {
    const ends = await Promise.allSettled(nodes.map((node) => node.dispose()))
    rmSync(directory, { recursive: true, force: true })
    const failure = ends.find((end) => end.status === 'rejected')
    if (failure !== undefined) throw failure.reason
  }
  const failure = started.find((result) => result.status === 'rejected')
  if (failure !== undefined) {
    await dispose()
    throw failure.reason
  }
  return { kind: 'millrace', nodes, bootstrap: nodes.map(({ bootstrap }) => bootstrap).join(','), dispose }
}

async function startNode(id: number, settings: Settings, options: StartOptions, port: number) {
  mkdirSync(options.directory!, { recursive: true })
  const broker = await startBroker(settings, { ...options, port })
  return {
    id,
    get port() {
      return broker.port
    },
    get pid() {
      return broker.pid
    },
    bootstrap: broker.bootstrap,
    directory: broker.directory,
    kill: () => broker.kill(),
    awaitKilled: () => broker.awaitKilled(),
    stop: () => broker.stop(),
    restart: () => broker.restart(),
    dispose: () => broker.dispose(),
  }
}

async function startKafkaCluster(scripts: string, directory: string, settings: Settings): Promise<Cluster> {
  const size = 3
  const port = await freeBlock(13)
  const pairs = Object.entries(settings).map(([key, value]) => `${key}=${value}`)
  const start = async (ids: string) => {
    const script = [join(scripts, 'start-cluster'), String(port), directory, ...pairs]
    // The script leaves the nodes behind with its own outputs, so only its last line is waited for.
    await run('bash', ['-c', 'out=$("$0" "$@") && echo "$out"', ...script], {
      environment: { NODES: ids },
      timeoutMs: 180_000,
    })
  }
  const stop = (signal: string) => run(join(scripts, 'stop'), [directory, signal])
  const dispose = async () => {
    await stop('KILL')
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    await start('1 2 3')
  } catch (error) {
    await dispose()
    throw error
  }
  const nodes = Array.from({ length: size }, (_, slot): ClusterNode => {
    const id = slot + 1
    const pid = () => Number(readFileSync(join(directory, `n${id}/pid`), 'utf8'))
    const gone = () => run('bash', ['-c', `while kill -0 ${pid()} 2> /dev/null; do sleep 0.02; done`])
    const end = async (signal: NodeJS.Signals) => {
      process.kill(pid(), signal)
      await gone()
    }
    return {
      id,
      port: port + slot,
      get pid() {
        return pid()
      },
      bootstrap: `127.0.0.1:${port + slot}`,
      directory: join(directory, `n${id}`),
      kill: () => end('SIGKILL'),
      awaitKilled: async () => void (await gone()),
      stop: () => end('SIGTERM'),
      restart: () => start(String(id)),
    }
  })
  return { kind: 'kafka', nodes, bootstrap: nodes.map(({ bootstrap }) => bootstrap).join(','), dispose }
}

/** Different ports that are free now. They are taken by nodes soon after, and stay theirs. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listen(0)))
  const ports = servers.map((server) => (server!.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server!.close(resolve))))
  return ports
}

/** The first of so many free ports in a row. */
async function freeBlock(count: number): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const [first] = await freePorts(1)
    const servers = await Promise.all(Array.from({ length: count }, (_, step) => listen(first! + step)))
    await Promise.all(servers.map((server) => server && new Promise((resolve) => server.close(resolve))))
    if (servers.every((server) => server !== null)) return first!
  }
  throw new Error(`no ${count} free ports in a row`)
}

function listen(port: number): Promise<ReturnType<typeof createServer> | null> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(null))
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}
