import type { Random } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import {
  createDescribeClusterBroker,
  createDescribeClusterResponse,
  type DescribeClusterRequest,
  type DescribeClusterResponse,
  describeClusterApi,
  ErrorCode,
} from '@millrace/protocol'
import { CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED } from '../metadata/authorized-operations.ts'
import { anyLiveBrokerId, brokerNodes } from '../metadata/broker-nodes.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** Kinds of node that a client may ask for (KIP-919). */
const BROKERS = 1
const CONTROLLERS = 2

/** DescribeCluster 0–2: the brokers of the listener; fenced ones only if asked for (v2). */
export function describeClusterHandler(deps: {
  image(): MetadataImage
  readonly random: Random
}): ApiHandler<DescribeClusterRequest, DescribeClusterResponse> {
  return defineHandler(describeClusterApi, (request, context) => {
    const { endpointType } = request
    if (endpointType !== BROKERS) return wrongEndpoint(endpointType, context.apiVersion)
    const image = deps.image()
    const nodes = brokerNodes(image, context.connection.listener).filter(
      (node) => !node.fenced || request.includeFencedBrokers,
    )
    const controllerId = anyLiveBrokerId(image, deps.random)
    return createDescribeClusterResponse({
      errorMessage: null,
      clusterId: image.clusterId,
      controllerId: nodes.some((node) => node.id === controllerId) ? controllerId : -1,
      brokers: nodes.map(({ id, host, port, rack, fenced }) =>
        createDescribeClusterBroker({ brokerId: id, host, port, rack, isFenced: fenced }),
      ),
      clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
        ? CLUSTER_OPERATIONS
        : OPERATIONS_NOT_ASKED,
    })
  })
}

function wrongEndpoint(endpointType: number, version: number): DescribeClusterResponse {
  const known = endpointType === CONTROLLERS
  const errorCode = known ? ErrorCode.MISMATCHED_ENDPOINT_TYPE : ErrorCode.UNSUPPORTED_ENDPOINT_TYPE
  return createDescribeClusterResponse({
    errorCode: version === 0 ? ErrorCode.INVALID_REQUEST : errorCode,
    errorMessage: known
      ? 'The request was sent to a broker, but asks for controllers'
      : `Unsupported endpoint type ${endpointType}`,
  })
}
