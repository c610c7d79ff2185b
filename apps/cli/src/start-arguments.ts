import { parseArgs } from 'node:util'
import { UsageError } from './usage-error.ts'

/** What `--help` prints. */
export const START_HELP = `Usage: millrace start [options]

Starts a broker and serves until it gets SIGINT or SIGTERM. When it serves it prints one line:
  ready 127.0.0.1:9092 node 1 pid 4711 in 143 ms
With --cluster it starts several nodes, each a process of its own with a line of its own, on ports that follow each other.

Options:
  --port P           port of the listener (default 9092; 0 lets the system choose); also MILLRACE_PORT
  --data-dir D       directory for all data (default ./millrace-data)
  --cluster N        a cluster of N nodes on this machine, 3 or 5 of them most often: --port is that of the first. The directory
                     remembers the nodes, so the same command starts the same cluster again
  --config FILE      Kafka-style properties file
  --set KEY=VALUE    one setting; may be repeated; wins over file and environment; unknown keys are refused
  --log-level L      debug, info, warn or error (default info); logs go to standard error as JSON lines
  --quiet            no hints on how to produce and consume
  --end-with-parent  stop when the process is gone that started this one with a channel (Node's IPC)
  -h, --help         this text

Settings are Kafka's, for example num.partitions or log.retention.hours; in the environment they are written
MILLRACE_NUM_PARTITIONS. "millrace config describe broker 1 --all --docs" lists all of them with their meaning.

Examples:
  millrace start
  millrace start --port 0 --data-dir /tmp/try
  millrace start --cluster 3 --data-dir ./try    # three nodes on ports 9092 to 9094
  millrace start --config server.properties --set log.retention.hours=24
  millrace start --set write.caching=true        # acknowledge from the page cache, as Kafka does
`

/** What the command line of `start` says, not yet interpreted. */
export interface StartArguments {
  configFile: string | null
  /** Settings in the order given; later ones win. */
  settings: [key: string, value: string][]
  logLevel: 'debug' | 'info' | 'warn' | 'error'
  quiet: boolean
  /** How many nodes to start on this machine; null: this process is the node. */
  clusterSize: number | null
  /** With a cluster the two are not among the settings, since each node has its own. */
  port: string | null
  dataDirectory: string | null
  endWithParent: boolean
}

/** Beyond that they would only fight for the machine. */
const CLUSTER_SIZE_MAX = 9

/** Parses the arguments after `start`; null: help was asked for. Throws {@link UsageError}. */
export function parseStartArguments(args: readonly string[]): StartArguments | null {
  let values: ReturnType<typeof parse>
  try {
    values = parse(args)
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
  if (values.help === true) return null
  const settings: StartArguments['settings'] = []
  const clusterSize = values.cluster === undefined ? null : checkClusterSize(values.cluster)
  const port = values.port === undefined ? null : checkPort(values.port, `--port ${values.port}`)
  const dataDirectory = values['data-dir'] ?? null
  if (clusterSize === null && dataDirectory !== null) settings.push(['log.dirs', dataDirectory])
  if (clusterSize === null && port !== null) settings.push(['port', port])
  for (const text of values.set ?? []) {
    const equals = text.indexOf('=')
    if (equals <= 0) throw new UsageError(`--set ${text}: write it as --set key=value`)
    const key = text.slice(0, equals).trim()
    const value = text.slice(equals + 1).trim()
    if (key === 'port' && clusterSize !== null) throw new UsageError('--set port: nodes of a cluster need --port')
    settings.push([key, key === 'port' ? checkPort(value, `--set ${text}`) : value])
  }
  const logLevel = values['log-level'] ?? 'info'
  if (logLevel !== 'debug' && logLevel !== 'info' && logLevel !== 'warn' && logLevel !== 'error') {
    throw new UsageError(`--log-level ${logLevel}: must be debug, info, warn or error`)
  }
  return {
    configFile: values.config ?? null,
    settings,
    logLevel,
    quiet: values.quiet === true,
    clusterSize,
    port,
    dataDirectory,
    endWithParent: values['end-with-parent'] === true,
  }
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: {
      port: { type: 'string' },
      'data-dir': { type: 'string' },
      cluster: { type: 'string' },
      config: { type: 'string' },
      set: { type: 'string', multiple: true },
      'log-level': { type: 'string' },
      quiet: { type: 'boolean' },
      'end-with-parent': { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
    strict: true,
    allowPositionals: false,
  }).values
}

function checkPort(text: string, given: string): string {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new UsageError(`${given}: must be between 0 and 65535`)
  return text
}

function checkClusterSize(text: string): number {
  const size = /^\d$/.test(text) ? Number(text) : 0
  if (size < 1 || size > CLUSTER_SIZE_MAX) {
    throw new UsageError(`--cluster ${text}: must be between 1 and ${CLUSTER_SIZE_MAX}`)
  }
  return size
}
