import { parseArgs } from 'node:util'

const HELP = `Usage: millrace start [options]

Starts a broker and serves until it gets SIGINT or SIGTERM. When it serves it prints one line:
  ready 127.0.0.1:9092 node 1 pid 4711 in 143 ms

Options:
  --port P           port of the listener (default 9092; 0 lets the system choose); also MILLRACE_PORT
  --data-dir D       directory for all data (default ./millrace-data)
  --config FILE      Kafka-style properties file
  --set KEY=VALUE    one setting; may be repeated; wins over file and environment; unknown keys are refused
  --log-level L      debug, info, warn or error (default info); logs go to standard error as JSON lines
  --quiet            no hints on how to produce and consume
  -h, --help         this text

Settings are Kafka's, for example num.partitions or log.retention.hours; in the environment they are written
MILLRACE_NUM_PARTITIONS. "millrace config describe broker 1 --all --docs" lists all of them with their meaning.

Examples:
  millrace start
  millrace start --port 0 --data-dir /tmp/try
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
}

/** Thrown for a wrong command line; the message is for the user. */
export class UsageError extends Error {}

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
  if (values['data-dir'] !== undefined) settings.push(['log.dirs', values['data-dir']])
  if (values.port !== undefined) settings.push(['port', checkPort(values.port, `--port ${values.port}`)])
  for (const text of values.set ?? []) {
    const equals = text.indexOf('=')
    if (equals <= 0) throw new UsageError(`--set ${text}: write it as --set key=value`)
    const key = text.slice(0, equals).trim()
    const value = text.slice(equals + 1).trim()
    settings.push([key, key === 'port' ? checkPort(value, `--set ${text}`) : value])
  }
  const logLevel = values['log-level'] ?? 'info'
  if (logLevel !== 'debug' && logLevel !== 'info' && logLevel !== 'warn' && logLevel !== 'error') {
    throw new UsageError(`--log-level ${logLevel}: must be debug, info, warn or error`)
  }
  return { configFile: values.config ?? null, settings, logLevel, quiet: values.quiet === true }
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: {
      port: { type: 'string' },
      'data-dir': { type: 'string' },
      config: { type: 'string' },
      set: { type: 'string', multiple: true },
      'log-level': { type: 'string' },
      quiet: { type: 'boolean' },
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

/** `millrace start`: runs until the broker stops; gives the exit code (0 stopped, 1 failed, 2 wrong usage). */
export async function start(args: readonly string[]): Promise<number> {
  let parsed: StartArguments | null
  try {
    parsed = parseStartArguments(args)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`millrace start: ${error.message}\nTry "millrace start --help".\n`)
    return 2
  }
  if (parsed === null) {
    process.stdout.write(HELP)
    return 0
  }
  const { runBroker } = await import('@millrace/broker-app')
  return runBroker(parsed)
}
