import type { ProducerId } from '@millrace/base'
import type { MetadataRecord } from '../records.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
import type { ControllerContext, Outcome } from './context.ts'

/** Ids that one broker hands out without asking again. */
export const PRODUCER_ID_BLOCK_SIZE = 1000

/** Ids `[start, end)`, no other broker's. */
export interface ProducerIdBlock {
  readonly start: ProducerId
  readonly end: ProducerId
}

/** Takes the next block for a broker. Blocks lie one after the other from 0 and are never given twice. */
export function allocateProducerIds(
  context: ControllerContext,
  brokerId: number,
  brokerEpoch: number,
): Outcome<ProducerIdBlock | ApiError> {
  const broker = context.image.brokers.get(brokerId)
  if (broker === undefined || broker.epoch !== brokerEpoch) {
    return { records: [], response: apiError(MetadataErrorCode.STALE_BROKER_EPOCH) }
  }
  const start = context.image.nextProducerId
  const end = start + PRODUCER_ID_BLOCK_SIZE
  const record: MetadataRecord = { type: 'ProducerIdsRecord', brokerId, brokerEpoch, nextProducerId: end }
  return { records: [record], response: { start, end } }
}
