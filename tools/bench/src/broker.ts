import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { run } from './run.ts'

/** A broker, or a cluster of some, under measurement. */
export interface Broker {
  readonly kind: 'kafka' | 'millrace'
  /** Of the first node. */
  readonly port: number
  readonly pid: number
  /** Of all nodes. */
  readonly pids: readonly number[]
  /** Copies that topics are made with. */
  readonly replicas: number
  readonly bootstrap: string
  stop(): Promise<void>
}

/** Scripts that run an Apache Kafka and its tools, by the folder `peers`. */
export const kafkaScript = (peers: string, name: string) => join(peers, 'kafka', name)

export async function startKafka(peers: string, directory: string, settings: readonly string[] = []): Promise<Broker> {
  mkdirSync(directory, { recursive: true })
  const port = await freePortPair()
  // Deleted topics give their space back at once, as they do in the other broker.
  await run(kafkaScript(peers, 'start'), [port, directory, 'log.segment.delete.delay.ms=1000', ...settings], {
    timeoutMs: 120_000,
  })
  const pid = Number(readFileSync(join(directory, 'pid'), 'utf8'))
  const stop = async () => {
    await run(kafkaScript(peers, 'stop'), [directory])
    rmSync(directory, { recursive: true, force: true })
  }
  return { kind: 'kafka', port, pid, pids: [pid], replicas: 1, bootstrap: `127.0.0.1:${port}`, stop }
}

/** What `npx millrace start` runs, on the Node that runs this. */
export function millraceCommand(root: string, port: number, directory: string): [command: string, args: string[]] {
  const launcher = join(root, 'apps/cli/bin/millrace.mjs')
  return [process.execPath, [launcher, 'start', '--port', String(port), '--data-dir', directory]]
}

/** `log`: a file that takes what it has to say. */
export async function startMillrace(
  root: string,
  directory: string,
  settings: readonly string[] = [],
  log: number | 'inherit' = 'inherit',
): Promise<Broker> {
  mkdirSync(directory, { recursive: true })
  const [command, args] = millraceCommand(root, 0, directory)
  const all = [...args, ...settings.flatMap((setting) => ['--set', setting])]
  const child = spawn(command, all, { stdio: ['ignore', 'pipe', log] })
  const port = await readyPort(child)
  const stop = async () => {
    await endProcess(child)
    rmSync(directory, { recursive: true, force: true })
  }
  const pid = child.pid ?? 0
  return { kind: 'millrace', port, pid, pids: [pid], replicas: 1, bootstrap: `127.0.0.1:${port}`, stop }
}

function readyPort(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`millrace ended with ${code} before it was ready`)))
    if (!child.stdout) throw new Error('the broker was started without a pipe')
    createInterface({ input: child.stdout }).on('line', (line) => {
      const port = /^ready [\d.]+:(\d+) /.exec(line)?.[1]
      if (port) resolve(Number(port))
    })
  })
}

export function endProcess(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('exit', () => resolve())
    child.kill('SIGTERM')
  })
}

/** A port that is free together with the next one, which Kafka's controller takes. */
export async function freePortPair(): Promise<number> {
  for (let tries = 0; tries < 20; tries++) {
    const port = await probe(0)
    if (port && (await probe(port + 1))) return port
  }
  throw new Error('no two free ports in a row')
}

/** The port that could be bound, or 0. */
export function probe(port: number): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(0))
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
