import { readFileSync } from 'node:fs'
import { ConfigurationError } from '@millrace/base'
import {
  Configuration,
  type Logger,
  unknownSettingComplaint,
  WrongValuesError,
  withListenerPort,
} from '@millrace/broker'
import { type Property, parseProperties } from './configuration-properties.ts'

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
  readonly isInFile?: true
}

const COMMAND_LINE = 'command line'

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
    if (complaint !== null) throw new ConfigurationError(key, `${COMMAND_LINE}: ${complaint}`)
    const earlier = settings.get(key)
    if (earlier?.origin === COMMAND_LINE && earlier.value !== value) {
      logger.warn(`${COMMAND_LINE}: ${key} is set again; ${earlier.value} is ignored`)
    }
    put(settings, key, { value, origin: COMMAND_LINE })
  }
  const values = new Map(Array.from(settings, ([key, setting]) => [key, setting.value]))
  try {
    const originOf = (key: string) => settings.get(key)?.origin ?? null
    return new Configuration(port === null ? values : withListenerPort(values, Number(port)), logger, originOf)
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    const errors = error instanceof WrongValuesError ? error.errors : [error]
    throw new ConfigurationError(error.key, errors.map((each) => placedMessage(each, settings)).join('\n'))
  }
}

/** With the place of the setting, and a hint where a comment was taken for a part of the value. */
function placedMessage({ key, message }: ConfigurationError, settings: ReadonlyMap<string, Setting>): string {
  // Whichever of the two was given stands for both.
  const setting = settings.get(key) ?? (key === 'node.id' ? settings.get('broker.id') : undefined)
  if (setting === undefined) return message
  const hint = setting.isInFile && /\s[#!]/.test(setting.value) ? ' (comments stand on lines of their own)' : ''
  return `${setting.origin}: ${message}${hint}`
}

/** Settings stand in the order of what is said last: messages follow it. */
function put(settings: Map<string, Setting>, key: string, setting: Setting): void {
  settings.delete(key)
  settings.set(key, setting)
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
  const properties = parseProperties(text, path)
  checkIsConfiguration(properties, path)
  for (const { key, value, line } of properties) {
    const earlier = settings.get(key)
    if (earlier !== undefined)
      logger.warn(`${path}:${line}: ${key} is set again; the value at ${earlier.origin} is ignored`)
    put(settings, key, { value, origin: `${path}:${line}`, isInFile: true })
  }
}

/** Fewer keys that nobody knows are a matter of versions and plug-ins, and warned about. */
const FOREIGN_COUNT_MIN = 5

/** Every text reads as properties, so a wrong file would start a node with nothing but defaults. */
function checkIsConfiguration(properties: readonly Property[], path: string): void {
  const foreign = properties.filter(({ key }) => unknownSettingComplaint(key) !== null)
  if (foreign.length < FOREIGN_COUNT_MIN || foreign.length * 2 <= properties.length) return
  const { key, line } = foreign[0]!
  throw new ConfigurationError(
    '',
    `${path}:${line}: ${key} is no setting of a node, nor are most others there (${foreign.length} of ${properties.length}): is this the right file?`,
  )
}

function readEnvironment(environment: SettingSources['environment'], settings: Map<string, Setting>): void {
  for (const [variable, value] of Object.entries(environment)) {
    const key = settingKeyOf(variable)
    if (key !== null && value !== undefined) put(settings, key, { value, origin: `environment variable ${variable}` })
  }
}
