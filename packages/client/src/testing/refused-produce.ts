import {
  createPartitionProduceResponse,
  createProduceResponse,
  createTopicProduceResponse,
  type ProduceRequest,
} from '@millrace/protocol'
import type { FakeRequest } from './fake-broker.ts'

/** An answer to Produce with one error, and what else is given, for every partition of the request. */
export function refusedProduce(request: FakeRequest, errorCode: number, extra: object = {}): object {
  const { topicData } = request.body as ProduceRequest
  return createProduceResponse({
    responses: topicData.map(({ name, topicId, partitionData }) =>
      createTopicProduceResponse({
        name,
        topicId,
        partitionResponses: partitionData.map(({ index }) =>
          createPartitionProduceResponse({ index, errorCode, ...extra }),
        ),
      }),
    ),
  })
}
