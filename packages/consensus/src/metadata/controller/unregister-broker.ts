import type { MetadataRecord } from '../records.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
import { removeFromIsrs } from './broker-events.ts'
import { afterRecords, type ControllerContext, type Outcome } from './context.ts'

/** Forgets a broker, dead or alive (`controller.md`, 2.2). It leaves all in-sync sets; replica lists keep the id. */
export function unregisterBroker(context: ControllerContext, brokerId: number): Outcome<ApiError | null> {
  const broker = context.image.brokers.get(brokerId)
  if (broker === undefined) {
    const message = `Broker ID ${brokerId} is not currently registered`
    return { records: [], response: apiError(MetadataErrorCode.BROKER_ID_NOT_REGISTERED, message) }
  }
  const record: MetadataRecord = { type: 'UnregisterBrokerRecord', brokerId, brokerEpoch: broker.epoch }
  return { records: [...removeFromIsrs(afterRecords(context, [record]), brokerId), record], response: null }
}
