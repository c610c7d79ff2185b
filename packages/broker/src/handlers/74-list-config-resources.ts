import { ConfigResourceType, type MetadataImage, parseConfigKey } from '@millrace/consensus'
import {
  createConfigResource,
  createListConfigResourcesResponse,
  ErrorCode,
  type ListConfigResourcesRequest,
  type ListConfigResourcesResponse,
  listConfigResourcesApi,
} from '@millrace/protocol'
import { brokerNodes } from '../metadata/broker-nodes.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

const { TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP } = ConfigResourceType

const TYPES_V0: readonly number[] = [CLIENT_METRICS]
const TYPES_V1: readonly number[] = [GROUP, CLIENT_METRICS, BROKER_LOGGER, BROKER, TOPIC]

/** ListConfigResources 0–1: names of the resources that have configuration; v0 knows client metrics subscriptions only. */
export function listConfigResourcesHandler(deps: {
  image(): MetadataImage
}): ApiHandler<ListConfigResourcesRequest, ListConfigResourcesResponse> {
  return defineHandler(listConfigResourcesApi, (request, context) => {
    const supported = context.apiVersion === 0 ? TYPES_V0 : TYPES_V1
    if (request.resourceTypes.some((type) => !supported.includes(type))) {
      return createListConfigResourcesResponse({ errorCode: ErrorCode.UNSUPPORTED_VERSION })
    }
    const asked = request.resourceTypes.length === 0 ? supported : request.resourceTypes
    const image = deps.image()
    const configResources = supported
      .filter((type) => asked.includes(type))
      .flatMap((resourceType) =>
        namesOf(image, resourceType, context.connection.listener).map((resourceName) =>
          createConfigResource({ resourceName, resourceType }),
        ),
      )
    return createListConfigResourcesResponse({ configResources })
  })
}

function namesOf(image: MetadataImage, resourceType: number, listener: string): string[] {
  if (resourceType === TOPIC) return [...image.topics.keys()]
  if (resourceType === BROKER || resourceType === BROKER_LOGGER) {
    return brokerNodes(image, listener).map((node) => String(node.id))
  }
  const names: string[] = []
  for (const key of image.configs.keys()) {
    const resource = parseConfigKey(key)
    if (resource.resourceType === resourceType) names.push(resource.resourceName)
  }
  return names
}
