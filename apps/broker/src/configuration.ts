import { readFileSync } from 'node:fs'
import { ConfigurationError } from '@millrace/base'
import { Configuration, type Logger, unknownSettingComplaint, withListenerPort } from '@millrace/broker'
import { parseProperties } from './configuration-properties.ts'

/** Where the settings of a node come from. */
export interface SettingSources {
  /** Kafka-style properties file, or null. */
  readonly configFile: string | null
  /** The process's environment. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** From the command line, in order; the pseudo setting `port` moves the only client listener. */
  readonly settings: readonly (readonly [key: string, value: string])[]
}

/** A value and who gave it, for messages: `server.properties:12`, `environment variable MILLRACE_NODE_ID`, `command line`. */
interface Setting {
  readonly value: string
  readonly origin: string
}

const PREFIX = 'MILLRACE_'

/** Variables of the command line tools, which are no settings of a node. */
const NOT_SETTINGS: ReadonlySet<string> = new Set(['MILLRACE_BOOTSTRAP_SERVERS', 'MILLRACE_PORT'])

/** What `--port` is on the command line: containers are configured by their environment. */
const PORT_VARIABLE = 'MILLRACE_PORT'

/** What Kubernetes puts into `MILLRACE_PORT` of every container beside a service that is called millrace. */
const SERVICE_ADDRESS = /^(tcp|udp|sctp):\/\//

/**
 * Settings of a node that was started without a file: somebody tries something out. The wait for more members before the first
 * assignment of an empty group is for production starts, where many come at once; here it would be three seconds of nothing.
 */
const WITHOUT_FILE: readonly (readonly [string, string])[] = [['group.initial.rebalance.delay.ms', '0']]

/**
 * Reads all settings of a node: command line over environment over file over defaults. Unknown keys are warned about, as in Kafka, but
 * refused on the command line. Throws `ConfigurationError` whose message names the file and line, variable or flag at fault.
 */
export function loadConfiguration(sources: SettingSources, logger: Logger): Configuration {
  const settings = new Map<string, Setting>()
  if (sources.configFile === null) {
    for (const [key, value] of WITHOUT_FILE) settings.set(key, { value, origin: 'default without a file' })
  } else {
    readFile(sources.configFile, settings, logger)
  }
  readEnvironment(sources.environment, settings)
  let port = portOf(sources.environment, logger)
  for (const [key, value] of sources.settings) {
    if (key === 'port') {
      port = value
      continue
    }
    const complaint = unknownSettingComplaint(key)
    if (complaint !== null) throw new ConfigurationError(key, `command line: ${complaint}`)
    settings.set(key, { value, origin: 'command line' })
  }
  const values = new Map(Array.from(settings, ([key, setting]) => [key, setting.value]))
  try {
    return new Configuration(port === null ? values : withListenerPort(values, Number(port)), logger)
  } catch (error) {
    const origin = error instanceof ConfigurationError ? settings.get(error.key)?.origin : undefined
    if (!(error instanceof ConfigurationError) || origin === undefined) throw error
    throw new ConfigurationError(error.key, `${origin}: ${error.message}`)
  }
}

/**
 * The key that an environment variable sets, or null: `MILLRACE_LOG_RETENTION_MS` is `log.retention.ms`. A doubled underscore
 * stands for one in the key.
 */
export function settingKeyOf(variable: string): string | null {
  if (!variable.startsWith(PREFIX) || variable === PREFIX || NOT_SETTINGS.has(variable)) return null
  return variable
    .slice(PREFIX.length)
    .toLowerCase()
    .replace(/__|_/g, (match) => (match === '__' ? '_' : '.'))
}

function portOf(environment: SettingSources['environment'], logger: Logger): string | null {
  const text = environment[PORT_VARIABLE]
  if (text === undefined) return null
  if (SERVICE_ADDRESS.test(text)) {
    logger.warn(`environment variable ${PORT_VARIABLE} is the address of a Kubernetes service (${text}) and is ignored`)
    return null
  }
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return text
  throw new ConfigurationError('port', `environment variable ${PORT_VARIABLE}: ${text} is no port (0 to 65535)`)
}

function readFile(path: string, settings: Map<string, Setting>, logger: Logger): void {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ConfigurationError('', `The configuration file cannot be read: ${reason}`)
  }
  for (const { key, value, line } of parseProperties(text, path)) {
    const earlier = settings.get(key)
    if (earlier !== undefined)
      logger.warn(`${path}:${line}: ${key} is set again; the value at ${earlier.origin} is ignored`)
    settings.set(key, { value, origin: `${path}:${line}` })
  }
}

function readEnvironment(environment: SettingSources['environment'], settings: Map<string, Setting>): void {
  for (const [variable, value] of Object.entries(environment)) {
    const key = settingKeyOf(variable)
    if (key !== null && value !== undefined) settings.set(key, { value, origin: `environment variable ${variable}` })
  }
}
