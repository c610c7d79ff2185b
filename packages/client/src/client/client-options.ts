import { ConfigurationError } from '@millrace/base'
import type { BrokerAddress } from '../network/transport.ts'
import type { ClientPorts } from '../ports/client-ports.ts'

/** Settings that all clients share. Names, meanings and defaults are those of the Java clients unless said otherwise. */
export interface ClientOptions {
  /** `host:port`, several by commas or as a list; the port is 9092 if left out. IPv6 addresses in brackets. */
  bootstrapServers: string | readonly string[]
  /** Name in the broker's logs, quotas and metrics. */
  clientId?: string
  requestTimeoutMs?: number
  /** Limit of calls that may need several requests. */
  defaultApiTimeoutMs?: number
  retryBackoffMs?: number
  retryBackoffMaxMs?: number
  reconnectBackoffMs?: number
  reconnectBackoffMaxMs?: number
  connectionsMaxIdleMs?: number
  metadataMaxAgeMs?: number
  socketConnectionSetupTimeoutMs?: number
  /** Ours: longest answer that is read. A longer one ends the connection before memory is taken for it. */
  maxResponseBytes?: number
  /** Ours: clock, timers, randomness, transport; each may be replaced. */
  ports?: Partial<ClientPorts>
}

/** {@link ClientOptions} with nothing left out. */
export interface ResolvedClientOptions {
  bootstrapServers: BrokerAddress[]
  clientId: string
  requestTimeoutMs: number
  defaultApiTimeoutMs: number
  retryBackoffMs: number
  retryBackoffMaxMs: number
  reconnectBackoffMs: number
  reconnectBackoffMaxMs: number
  connectionsMaxIdleMs: number
  metadataMaxAgeMs: number
  socketConnectionSetupTimeoutMs: number
  maxResponseBytes: number
}

const DEFAULT_PORT = 9092
/** Twice the most a fetch answer has by default (50 MiB), and room for one oversize batch. */
const DEFAULT_MAX_RESPONSE_BYTES = 128 * 1024 * 1024

/** Fills in defaults. Throws `ConfigurationError` naming the setting that is wrong. */
export function resolveClientOptions(options: ClientOptions): ResolvedClientOptions {
  return {
    bootstrapServers: parseBootstrapServers(options.bootstrapServers),
    clientId: options.clientId ?? 'millrace-client',
    requestTimeoutMs: wholeNumber('requestTimeoutMs', options.requestTimeoutMs, 30_000, 1),
    defaultApiTimeoutMs: wholeNumber('defaultApiTimeoutMs', options.defaultApiTimeoutMs, 60_000, 1),
    retryBackoffMs: wholeNumber('retryBackoffMs', options.retryBackoffMs, 100, 0),
    retryBackoffMaxMs: wholeNumber('retryBackoffMaxMs', options.retryBackoffMaxMs, 1000, 0),
    reconnectBackoffMs: wholeNumber('reconnectBackoffMs', options.reconnectBackoffMs, 50, 0),
    reconnectBackoffMaxMs: wholeNumber('reconnectBackoffMaxMs', options.reconnectBackoffMaxMs, 1000, 0),
    connectionsMaxIdleMs: wholeNumber('connectionsMaxIdleMs', options.connectionsMaxIdleMs, 540_000, -1),
    metadataMaxAgeMs: wholeNumber('metadataMaxAgeMs', options.metadataMaxAgeMs, 300_000, 1),
    socketConnectionSetupTimeoutMs: wholeNumber(
      'socketConnectionSetupTimeoutMs',
      options.socketConnectionSetupTimeoutMs,
      10_000,
      1,
    ),
    maxResponseBytes: wholeNumber('maxResponseBytes', options.maxResponseBytes, DEFAULT_MAX_RESPONSE_BYTES, 1024),
  }
}

/** Addresses of a `bootstrapServers` setting. Throws `ConfigurationError`. */
export function parseBootstrapServers(setting: string | readonly string[]): BrokerAddress[] {
  const texts = typeof setting === 'string' ? setting.split(',') : setting
  const addresses = texts.map((text) => text.trim()).filter((text) => text !== '')
  if (addresses.length === 0) throw new ConfigurationError('bootstrapServers', 'at least one host:port is needed')
  return addresses.map(parseAddress)
}

function parseAddress(text: string): BrokerAddress {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text)
  const port = match?.[3] === undefined ? DEFAULT_PORT : Number(match[3])
  if (match === null || port < 1 || port > 65_535) {
    throw new ConfigurationError(
      'bootstrapServers',
      `"${text}" is not host:port, for example localhost:9092 or [::1]:9092`,
    )
  }
  return { host: (match[1] ?? match[2])!, port }
}

/** The setting or its default; throws `ConfigurationError` unless it is a whole number of at least `minimum`. */
export function wholeNumber(key: string, value: number | undefined, fallback: number, minimum: number): number {
  if (value === undefined) return fallback
  if (!Number.isSafeInteger(value) || value < minimum) {
    throw new ConfigurationError(key, `${key} must be a whole number of at least ${minimum}, not ${value}`)
  }
  return value
}
