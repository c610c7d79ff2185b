import { ConfigurationError } from '@millrace/base'
import { type ClientOptions, wholeNumber } from '../client/client-options.ts'
import { guarded } from '../client/guarded.ts'
import type { Partitioner } from './partitioner.ts'

/** How a batch is compressed. */
export type CompressionType = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** Producer settings; names and meanings are Kafka's. */
export interface ProducerOptions extends ClientOptions {
  /** Who must have a record before it counts as stored: nobody asked (0), the leader (1), all in-sync replicas. */
  acks?: 0 | 1 | -1 | 'all'
  /** Records are stored once and in order in spite of retries. On unless `acks` is 0 or 1. */
  enableIdempotence?: boolean
  maxInFlightRequestsPerConnection?: number
  /**
   * How long a batch waits for more records. Ours is 0 by default (Java: 5): what is sent in one turn of the event loop shares a
   * batch anyway, and while requests are under way further records gather.
   */
  lingerMs?: number
  /** Bytes at which a batch is full. */
  batchSize?: number
  bufferMemory?: number
  maxBlockMs?: number
  maxRequestSize?: number
  compressionType?: CompressionType
  /** Level of gzip (1 to 9), lz4 (1 to 17) or zstd (-131072 to 22). */
  compressionLevel?: number
  deliveryTimeoutMs?: number
  retries?: number
  partitioner?: Partitioner
  /**
   * Makes all records parts of transactions ({@link Producer.begin}). One id is used by one producer at a time: a newer one fences the older.
   */
  transactionalId?: string
  /** The coordinator aborts a transaction that takes longer. */
  transactionTimeoutMs?: number
  /** Called for each batch of `post`ed records that could not be delivered. */
  onDeliveryError?: (error: unknown, topic: string, partition: number, recordCount: number) => void
  /** Called for each attempt that failed and is made again, of a batch or at getting a producer id: why records are not stored yet. */
  onRetry?: (error: unknown) => void
}

/** {@link ProducerOptions} with nothing left out. */
export interface ResolvedProducerOptions {
  acks: 0 | 1 | -1
  enableIdempotence: boolean
  maxInFlightRequestsPerConnection: number
  lingerMs: number
  batchSize: number
  bufferMemory: number
  maxBlockMs: number
  maxRequestSize: number
  compressionType: CompressionType
  compressionLevel: number | null
  deliveryTimeoutMs: number
  retries: number
  requestTimeoutMs: number
  partitioner: Partitioner | null
  transactionalId: string | null
  transactionTimeoutMs: number
  onDeliveryError: (error: unknown, topic: string, partition: number, recordCount: number) => void
  onRetry: (error: unknown) => void
}

const COMPRESSION_TYPES: readonly CompressionType[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
/** The broker remembers five batches per producer and partition; with more in flight a repeated one might not be recognised. */
const MAX_IN_FLIGHT_WITH_IDEMPOTENCE = 5

/** Fills in defaults and refuses what cannot go together. Throws `ConfigurationError`. */
export function resolveProducerOptions(options: ProducerOptions): ResolvedProducerOptions {
  const acks = resolveAcks(options.acks)
  const maxInFlight = wholeNumber('maxInFlightRequestsPerConnection', options.maxInFlightRequestsPerConnection, 5, 1)
  const retries = wholeNumber('retries', options.retries, 2_147_483_647, 0)
  const enableIdempotence = resolveIdempotence(options.enableIdempotence, acks, maxInFlight, retries)
  const transactionalId = resolveTransactionalId(options.transactionalId, enableIdempotence)
  const lingerMs = wholeNumber('lingerMs', options.lingerMs, 0, 0)
  const requestTimeoutMs = wholeNumber('requestTimeoutMs', options.requestTimeoutMs, 30_000, 1)
  return {
    acks,
    enableIdempotence,
    maxInFlightRequestsPerConnection: maxInFlight,
    lingerMs,
    batchSize: wholeNumber('batchSize', options.batchSize, 65_536, 1),
    bufferMemory: wholeNumber('bufferMemory', options.bufferMemory, 33_554_432, 1),
    maxBlockMs: wholeNumber('maxBlockMs', options.maxBlockMs, 60_000, 0),
    maxRequestSize: wholeNumber('maxRequestSize', options.maxRequestSize, 1_048_576, 1),
    compressionType: resolveCompression(options.compressionType),
    compressionLevel: options.compressionLevel ?? null,
    deliveryTimeoutMs: resolveDeliveryTimeout(options.deliveryTimeoutMs, lingerMs, requestTimeoutMs),
    retries,
    requestTimeoutMs,
    partitioner: options.partitioner ?? null,
    transactionalId,
    transactionTimeoutMs: wholeNumber('transactionTimeoutMs', options.transactionTimeoutMs, 60_000, 1),
    onDeliveryError: guarded(options.onDeliveryError ?? (() => undefined)),
    onRetry: guarded(options.onRetry ?? (() => undefined)),
  }
}

function resolveAcks(acks: ProducerOptions['acks']): 0 | 1 | -1 {
  if (acks === undefined || acks === 'all') return -1
  if (acks === 0 || acks === 1 || acks === -1) return acks
  throw new ConfigurationError('acks', `acks must be 0, 1, -1 or 'all', not ${String(acks)}`)
}

function resolveIdempotence(asked: boolean | undefined, acks: number, maxInFlight: number, retries: number): boolean {
  const possible = acks === -1 && retries > 0 && maxInFlight <= MAX_IN_FLIGHT_WITH_IDEMPOTENCE
  if (asked === true && !possible) {
    throw new ConfigurationError(
      'enableIdempotence',
      "enableIdempotence needs acks 'all', retries above 0 and maxInFlightRequestsPerConnection of at most 5",
    )
  }
  return asked ?? possible
}

function resolveTransactionalId(id: string | undefined, enableIdempotence: boolean): string | null {
  if (id === undefined) return null
  if (id === '') throw new ConfigurationError('transactionalId', 'transactionalId must not be empty')
  if (!enableIdempotence) throw new ConfigurationError('transactionalId', 'transactionalId needs enableIdempotence')
  return id
}

function resolveCompression(type: CompressionType | undefined): CompressionType {
  const chosen = type ?? 'none'
  if (!COMPRESSION_TYPES.includes(chosen)) {
    throw new ConfigurationError(
      'compressionType',
      `compressionType must be one of ${COMPRESSION_TYPES.join(', ')}, not ${chosen}`,
    )
  }
  return chosen
}

function resolveDeliveryTimeout(asked: number | undefined, lingerMs: number, requestTimeoutMs: number): number {
  const least = lingerMs + requestTimeoutMs
  if (asked === undefined) return Math.max(120_000, least)
  const deliveryTimeoutMs = wholeNumber('deliveryTimeoutMs', asked, asked, 1)
  if (deliveryTimeoutMs < least) {
    throw new ConfigurationError(
      'deliveryTimeoutMs',
      `deliveryTimeoutMs must be at least lingerMs + requestTimeoutMs (${least})`,
    )
  }
  return deliveryTimeoutMs
}
