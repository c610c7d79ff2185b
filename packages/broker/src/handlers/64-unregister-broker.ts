import {
  createUnregisterBrokerResponse,
  type UnregisterBrokerRequest,
  type UnregisterBrokerResponse,
  unregisterBrokerApi,
} from '@millrace/protocol'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** UnregisterBroker 0: the cluster forgets a broker, which may come back by registering again (`controller.md`, 2.2). */
export function unregisterBrokerHandler(deps: {
  metadata: Pick<MetadataService, 'unregisterBroker'>
}): ApiHandler<UnregisterBrokerRequest, UnregisterBrokerResponse> {
  return defineHandler(unregisterBrokerApi, async ({ brokerId }) => {
    const error = await deps.metadata.unregisterBroker(brokerId)
    return createUnregisterBrokerResponse({ errorCode: error?.code ?? 0, errorMessage: error?.message ?? null })
  })
}
