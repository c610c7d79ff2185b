import { ConfigResourceType } from '@millrace/consensus'
import {
  type AlterConfigsRequest,
  type AlterConfigsResponse,
  ApiKey,
  createAlterConfigsResponse,
  createAlterConfigsResponseAlterConfigsResourceResponse,
  createDescribeConfigsResponse,
  createDescribeConfigsResult,
  createIncrementalAlterConfigsResponse,
  createIncrementalAlterConfigsResponseAlterConfigsResourceResponse,
  type DescribeConfigsRequest,
  type DescribeConfigsResponse,
  errorInfo,
  type IncrementalAlterConfigsRequest,
  type IncrementalAlterConfigsResponse,
} from '@millrace/protocol'
import type { Access } from '../authorizer.ts'
import { addRows, type Guard, namedOnce, narrow } from '../guard.ts'
import { NEEDS, type Need } from '../needs.ts'

const { TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP } = ConfigResourceType

interface Resource {
  readonly resourceType: number
  readonly resourceName: string
}

/** What a resource needs by its type; settings of brokers and of metrics belong to the cluster. */
interface ConfigNeeds {
  readonly topic: Need
  readonly group: Need
  readonly cluster: Need
}

/** An unknown type makes the whole request wrong. */
export const describeConfigsGuard: Guard<DescribeConfigsRequest, DescribeConfigsResponse> = (request, scene, next) => {
  const needs = NEEDS[ApiKey.DESCRIBE_CONFIGS]
  if (request.resources.some(({ resourceType }) => needOf(needs, resourceType) === null)) return next(request)
  return narrow(scene, {
    items: request.resources,
    isAllowed: (resource) => isAllowed(scene.access, needs, resource),
    ask: (resources) => next({ ...request, resources }),
    none: () => createDescribeConfigsResponse({}),
    refuse(response, refused) {
      addRows(response.results, refused, (resource) => createDescribeConfigsResult(refusalOf(needs, resource)))
      return response
    },
  })
}

export const alterConfigsGuard: Guard<AlterConfigsRequest, AlterConfigsResponse> = (request, scene, next) => {
  const needs = NEEDS[ApiKey.ALTER_CONFIGS]
  const once = namedOnce(request.resources, keyOf)
  return narrow(scene, {
    items: request.resources,
    isAllowed: (resource) => !once.has(keyOf(resource)) || isAllowed(scene.access, needs, resource),
    ask: (resources) => next({ ...request, resources }),
    none: () => createAlterConfigsResponse({}),
    refuse(response, refused) {
      addRows(response.responses, refused, (resource) =>
        createAlterConfigsResponseAlterConfigsResourceResponse(refusalOf(needs, resource)),
      )
      return { ...response, responses: inOrderOf(request.resources, response.responses) }
    },
  })
}

export const incrementalAlterConfigsGuard: Guard<IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse> = (
  request,
  scene,
  next,
) => {
  const needs = NEEDS[ApiKey.INCREMENTAL_ALTER_CONFIGS]
  const once = namedOnce(request.resources, keyOf)
  return narrow(scene, {
    items: request.resources,
    isAllowed: (resource) => !once.has(keyOf(resource)) || isAllowed(scene.access, needs, resource),
    ask: (resources) => next({ ...request, resources }),
    none: () => createIncrementalAlterConfigsResponse({}),
    refuse(response, refused) {
      addRows(response.responses, refused, (resource) =>
        createIncrementalAlterConfigsResponseAlterConfigsResourceResponse(refusalOf(needs, resource)),
      )
      return { ...response, responses: inOrderOf(request.resources, response.responses) }
    },
  })
}

function keyOf({ resourceType, resourceName }: Resource): string {
  return `${resourceType}:${resourceName}`
}

/** The rows in the order of the request, which has one for each resource. */
function inOrderOf<Row extends Resource>(resources: readonly Resource[], rows: readonly Row[]): Row[] {
  const byKey = new Map<string, Row[]>()
  for (const row of rows) {
    const alike = byKey.get(keyOf(row))
    if (alike === undefined) byKey.set(keyOf(row), [row])
    else alike.push(row)
  }
  // From their ends: rows for one resource, which is named more than once then, are all alike.
  return resources.flatMap((resource) => byKey.get(keyOf(resource))?.pop() ?? [])
}

/** Null: no such type, which the handler refuses. */
function needOf(needs: ConfigNeeds, resourceType: number): Need | null {
  switch (resourceType) {
    case TOPIC:
      return needs.topic
    case GROUP:
      return needs.group
    case BROKER:
    case BROKER_LOGGER:
    case CLIENT_METRICS:
      return needs.cluster
    default:
      return null
  }
}

function isAllowed(access: Access, needs: ConfigNeeds, { resourceType, resourceName }: Resource): boolean {
  const need = needOf(needs, resourceType)
  if (need === null) return true
  return need === needs.cluster ? access.allowsCluster(need) : access.allows(need, resourceName)
}

function refusalOf(needs: ConfigNeeds, { resourceType, resourceName }: Resource) {
  const { errorCode } = needOf(needs, resourceType)!
  return { errorCode, errorMessage: errorInfo(errorCode).description, resourceType, resourceName }
}
