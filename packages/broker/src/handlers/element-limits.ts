import { ApiKey } from '@millrace/protocol'
import type { ApiHandler } from './handler.ts'

/**
 * Most array elements of one request, by API. A request is decoded in one go, which with so many elements takes some tens of
 * milliseconds; its answer is made and encoded in slices (`slices.ts`, `long-answers.ts`). Clients name partitions by ten thousands where they read or commit all of a cluster's; groups, topics and
 * settings are administrated in smaller lists, of which Kafka's controller takes no more than ten thousand changes at once. Otherwise
 * Kafka has no such limits; here a request beyond them closes its connection.
 */
const MANY_ELEMENTS = 50_000
const FEW_ELEMENTS = 10_000

const NAMING_PARTITIONS: ReadonlySet<number> = new Set([
  ApiKey.PRODUCE,
  ApiKey.FETCH,
  ApiKey.LIST_OFFSETS,
  ApiKey.METADATA,
  ApiKey.OFFSET_COMMIT,
  ApiKey.OFFSET_FETCH,
  ApiKey.OFFSET_FOR_LEADER_EPOCH,
  ApiKey.OFFSET_DELETE,
  ApiKey.DELETE_RECORDS,
  ApiKey.ADD_PARTITIONS_TO_TXN,
  ApiKey.WRITE_TXN_MARKERS,
  ApiKey.TXN_OFFSET_COMMIT,
  ApiKey.SHARE_GROUP_HEARTBEAT,
  ApiKey.SHARE_FETCH,
  ApiKey.SHARE_ACKNOWLEDGE,
  ApiKey.CONSUMER_GROUP_HEARTBEAT,
  // Of brokers among themselves: what is to be stored of a share partition are as many ranges as its window has records, at worst.
  ApiKey.WRITE_SHARE_GROUP_STATE,
])

/** See {@link MANY_ELEMENTS}. */
export function elementLimitOf(apiKey: number): number {
  return NAMING_PARTITIONS.has(apiKey) ? MANY_ELEMENTS : FEW_ELEMENTS
}

/** The handler, for requests within the limit of its API. Others are malformed. */
export function withElementLimit(handler: ApiHandler): ApiHandler {
  const limit = elementLimitOf(handler.apiKey)
  return {
    ...handler,
    decodeRequest(reader, version) {
      reader.limitElements(limit)
      return handler.decodeRequest(reader, version)
    },
  }
}
