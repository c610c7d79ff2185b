import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Broker, endProcess, kafkaScript, millraceCommand, probe } from './broker.ts'
import { run } from './run.ts'

const CLUSTER_SIZE = 3
/** Kafka's script takes three ports for clients and, ten further, three for controllers. */
const KAFKA_PORTS = [0, 1, 2, 10, 11, 12]
/** Both: writes with acks=all wait for two of three, as production clusters have it. */
const DURABILITY = { 'min.insync.replicas': '2', 'default.replication.factor': '3' }

/** Three combined nodes of Apache Kafka, by the script of the peer. */
export async function startKafkaCluster(peers: string, directory: string): Promise<Broker> {
  mkdirSync(directory, { recursive: true })
  const port = await freeBlock()
  const stop = async () => {
    await run(kafkaScript(peers, 'stop'), [directory])
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    const settings = ['log.segment.delete.delay.ms=1000']
    await run(kafkaScript(peers, 'start-cluster'), [port, directory, ...settings], { timeoutMs: 300_000 })
  } catch (error) {
    await stop()
    throw error
  }
  const pids = [1, 2, 3].map((id) => Number(readFileSync(join(directory, `n${id}/pid`), 'utf8')))
  return { kind: 'kafka', port, pid: pids[0]!, pids, replicas: CLUSTER_SIZE, bootstrap: bootstrapOf(port), stop }
}

/** What `npx millrace start --cluster 3` runs. */
export async function startMillraceCluster(root: string, directory: string): Promise<Broker> {
  mkdirSync(directory, { recursive: true })
  const port = await freeBlock()
  const [command, args] = millraceCommand(root, port, directory)
  const settings = Object.entries(DURABILITY).flatMap(([key, value]) => ['--set', `${key}=${value}`])
  const all = [...args, '--cluster', String(CLUSTER_SIZE), '--quiet', '--log-level', 'error', ...settings]
  // A session of its own, as the other one's nodes have: the scheduler shares the processors among sessions.
  const child = spawn(command, all, { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  const pids = await new Promise<number[]>((resolve, reject) => {
    const byNode = new Map<number, number>()
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`the cluster ended with ${code} before it was ready`)))
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [, node, pid] = /^ready \S+ node (\d+) pid (\d+) /.exec(line) ?? []
      if (node === undefined) return
      byNode.set(Number(node), Number(pid))
      if (byNode.size === CLUSTER_SIZE) resolve([1, 2, 3].map((id) => byNode.get(id)!))
    })
  })
  const stop = async () => {
    await endProcess(child)
    rmSync(directory, { recursive: true, force: true })
  }
  return { kind: 'millrace', port, pid: pids[0]!, pids, replicas: CLUSTER_SIZE, bootstrap: bootstrapOf(port), stop }
}

function bootstrapOf(port: number): string {
  return [0, 1, 2].map((step) => `127.0.0.1:${port + step}`).join(',')
}

async function freeBlock(): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const first = await probe(0)
    if (first === 0) continue
    const found = await Promise.all(KAFKA_PORTS.map((step) => probe(first + step)))
    if (found.every((port) => port !== 0)) return first
  }
  throw new Error('no free ports in a row')
}
