import { resolve } from 'node:path'
import { RealRandom, RealTimers } from '@millrace/base'
import type { StartArguments } from '../start-arguments.ts'
import { UsageError } from '../usage-error.ts'
import { type ClusterFile, type LocalNode, readClusterFile, writeClusterFile } from './cluster-file.ts'
import { checkOwnSettings, nodeEnvironment, nodeSettings, planCluster } from './cluster-plan.ts'
import { probePort } from './free-ports.ts'
import type { NodeCommand } from './node-process.ts'
import { checkNoSingleNode } from './started-nodes.ts'
import { Supervisor } from './supervisor.ts'

const DEFAULT_DIRECTORY = './millrace-data'
/** A node hands its leaderships over first, which may take some seconds on a busy machine. */
const STOP_TIMEOUT_MS = 30_000
const EXIT_FAILED = 1
const EXIT_USAGE = 2
/** Cyan, yellow, magenta, green, blue: told apart on light and dark. */
const COLOURS = [36, 33, 35, 32, 34]

/**
 * `millrace start --cluster N`: runs N nodes as processes on this machine until it gets SIGINT or SIGTERM (a second one kills them).
 * Resolves to the exit code.
 */
export async function runLocalCluster(given: StartArguments & { clusterSize: number }): Promise<number> {
  const directory = resolve(given.dataDirectory ?? DEFAULT_DIRECTORY)
  let cluster: ClusterFile
  try {
    checkOwnSettings(given.settings)
    const request = { size: given.clusterSize, port: portOf(given), directory }
    const known = readClusterFile(directory)
    if (known === null) checkNoSingleNode(directory)
    cluster = await planCluster(request, known, new RealRandom(), probePort)
    writeClusterFile(directory, cluster)
  } catch (error) {
    if (!(error instanceof Error)) throw error
    process.stderr.write(`millrace start: ${error.message}\n`)
    return error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED
  }
  // Scripts wait for the ready lines and close the pipe: no reason to stop serving.
  process.stdout.on('error', () => process.stdout.destroy())
  process.stderr.on('error', () => process.stderr.destroy())
  const supervisor = new Supervisor({
    commands: cluster.nodes.map((node) => nodeCommand(given, cluster, node, directory)),
    voice: {
      out: (line) => void (process.stdout.destroyed || process.stdout.write(`${line}\n`)),
      log: (line) => void (process.stderr.destroyed || process.stderr.write(`${line}\n`)),
    },
    timers: new RealTimers(),
    stopTimeoutMs: STOP_TIMEOUT_MS,
    prefix: linePrefix,
    onAllReady: () => {
      if (!given.quiet) process.stdout.write(hints(cluster))
    },
  })
  let isStopping = false
  const onSignal = () => {
    if (isStopping) supervisor.kill()
    else supervisor.stop()
    isStopping = true
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return supervisor.run()
}

function portOf({ port }: StartArguments): number | null {
  const text = port ?? process.env.MILLRACE_PORT
  // Anything else is the address of a Kubernetes service, which nobody meant for us.
  return text !== undefined && /^\d{1,5}$/.test(text) ? Number(text) : null
}

function nodeCommand(given: StartArguments, cluster: ClusterFile, node: LocalNode, directory: string): NodeCommand {
  const settings = [...given.settings, ...nodeSettings(cluster, node, directory)]
  return {
    file: process.execPath,
    args: [
      ...process.execArgv,
      process.argv[1]!,
      'start',
      '--quiet',
      '--end-with-parent',
      ...['--log-level', given.logLevel],
      ...(given.configFile === null ? [] : ['--config', given.configFile]),
      ...settings.flatMap(([key, value]) => ['--set', `${key}=${value}`]),
    ],
    environment: nodeEnvironment(process.env, cluster),
  }
}

function linePrefix(nodeId: number): string {
  const text = `node ${nodeId} | `
  if (process.stderr.isTTY !== true || process.env.NO_COLOR) return text
  return `\u001b[${COLOURS[(nodeId - 1) % COLOURS.length]}m${text}\u001b[0m`
}

function hints({ nodes }: ClusterFile): string {
  const first = nodes[0]!.port
  const flag = first === 9092 ? '' : ` --bootstrap-server 127.0.0.1:${first}`
  return [
    '',
    `${nodes.length} nodes serve. Try it from another terminal:`,
    `  npx millrace cluster status${flag}`,
    `  npx millrace topic create greetings --replication-factor ${Math.min(3, nodes.length)}${flag}`,
    `  npx millrace produce greetings${flag}`,
    'Then kill one of the nodes: the others go on. Stop: Ctrl-C',
    '',
  ].join('\n')
}
